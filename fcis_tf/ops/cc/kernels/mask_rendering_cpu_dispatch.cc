// Which instruction set's kernels render masks.

#include <cstring>

#include "instruction_sets.h"
#include "mask_rendering_cpu.h"

namespace fcis_tf {

namespace baseline {
extern const MaskKernels kMaskKernels;
}
#ifdef __x86_64__
namespace avx2 {
extern const MaskKernels kMaskKernels;
}
namespace avx512 {
extern const MaskKernels kMaskKernels;
}
#endif

const MaskKernels* FindMaskKernels(const char* instruction_set) {
  if (!HasInstructionSet(instruction_set)) return nullptr;
#ifdef __x86_64__
  if (!std::strcmp(instruction_set, "avx2")) return &avx2::kMaskKernels;
  if (!std::strcmp(instruction_set, "avx512")) return &avx512::kMaskKernels;
#endif
  return &baseline::kMaskKernels;
}

const MaskKernels& BestMaskKernels() {
  static const MaskKernels* const best = [] {
    for (const char* instruction_set : kInstructionSets) {
      if (const MaskKernels* kernels = FindMaskKernels(instruction_set)) return kernels;
    }
    return &baseline::kMaskKernels;
  }();
  return *best;
}

}  // namespace fcis_tf
