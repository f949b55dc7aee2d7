// What the processor can do.

#include "instruction_sets.h"

#include <cstring>

namespace fcis_tf {

bool HasInstructionSet(const char* name) {
#ifdef __x86_64__
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (!std::strcmp(name, "avx2")) return has_avx2;
  if (!std::strcmp(name, "avx512")) {
    return has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  }
#endif
  return !std::strcmp(name, "baseline");
}

}  // namespace fcis_tf
