// The instruction sets that loops are compiled for, each time into the namespace of that name.

#ifndef FCIS_TF_OPS_CC_KERNELS_INSTRUCTION_SETS_H_
#define FCIS_TF_OPS_CC_KERNELS_INSTRUCTION_SETS_H_

namespace fcis_tf {

// The widest first.
inline constexpr const char* kInstructionSets[] = {"avx512", "avx2", "baseline"};

// Returns whether this processor has an instruction set, and loops are compiled for it.
bool HasInstructionSet(const char* name);

}  // namespace fcis_tf

#endif  // FCIS_TF_OPS_CC_KERNELS_INSTRUCTION_SETS_H_
