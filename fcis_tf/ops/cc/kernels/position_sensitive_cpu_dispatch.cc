// Which instruction set's kernels to run.

#include <cstring>

#include "instruction_sets.h"
#include "position_sensitive_cpu.h"

namespace fcis_tf {

namespace baseline {
template <typename T>
const CpuKernels<T>& Kernels();
}
#ifdef __x86_64__
namespace avx2 {
template <typename T>
const CpuKernels<T>& Kernels();
}
namespace avx512 {
template <typename T>
const CpuKernels<T>& Kernels();
}
#endif

template <typename T>
const CpuKernels<T>* FindCpuKernels(const char* instruction_set) {
  if (!HasInstructionSet(instruction_set)) return nullptr;
#ifdef __x86_64__
  if (!std::strcmp(instruction_set, "avx2")) return &avx2::Kernels<T>();
  if (!std::strcmp(instruction_set, "avx512")) return &avx512::Kernels<T>();
#endif
  return &baseline::Kernels<T>();
}

template <typename T>
const CpuKernels<T>& BestCpuKernels() {
  static const CpuKernels<T>* const best = [] {
    for (const char* instruction_set : kInstructionSets) {
      if (const CpuKernels<T>* kernels = FindCpuKernels<T>(instruction_set)) return kernels;
    }
    return &baseline::Kernels<T>();
  }();
  return *best;
}

template const CpuKernels<float>* FindCpuKernels(const char*);
template const CpuKernels<Half>* FindCpuKernels(const char*);
template const CpuKernels<BFloat16>* FindCpuKernels(const char*);
template const CpuKernels<float>& BestCpuKernels();
template const CpuKernels<Half>& BestCpuKernels();
template const CpuKernels<BFloat16>& BestCpuKernels();

}  // namespace fcis_tf
