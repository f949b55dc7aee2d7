// Which instruction set's kernels to run.

#include <cstring>
#include <initializer_list>

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
#ifdef __x86_64__
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (!std::strcmp(instruction_set, "avx2")) return has_avx2 ? &avx2::Kernels<T>() : nullptr;
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (!std::strcmp(instruction_set, "avx512")) return has_avx512 ? &avx512::Kernels<T>() : nullptr;
#endif
  return std::strcmp(instruction_set, "baseline") ? nullptr : &baseline::Kernels<T>();
}

template <typename T>
const CpuKernels<T>& BestCpuKernels() {
  static const CpuKernels<T>* const best = [] {
    for (const char* instruction_set : {"avx512", "avx2"}) {
      if (const CpuKernels<T>* kernels = FindCpuKernels<T>(instruction_set)) return kernels;
    }
    return FindCpuKernels<T>("baseline");
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
