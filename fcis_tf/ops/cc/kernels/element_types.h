// The element types, and their conversion to and from float one at a time. Shared by CPU and CUDA.
//
// All functions have internal linkage: the CPU's loops are compiled once for every instruction set, and a function that
// those objects shared could be the one of an instruction set that the processor lacks.

#ifndef FCIS_TF_OPS_CC_KERNELS_ELEMENT_TYPES_H_
#define FCIS_TF_OPS_CC_KERNELS_ELEMENT_TYPES_H_

#include <cstdint>
#include <cstring>

#include "host_device.h"

#ifdef __CUDACC__
#include <cuda_fp16.h>
#endif

namespace fcis_tf {

// 16 bits of storage; all sums are float.
struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

FCIS_TF_HOST_DEVICE static inline uint32_t BitsOf(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

FCIS_TF_HOST_DEVICE static inline float FloatOf(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

FCIS_TF_HOST_DEVICE static inline float ToFloat(float value) { return value; }

FCIS_TF_HOST_DEVICE static inline float ToFloat(BFloat16 value) { return FloatOf(uint32_t{value.bits} << 16); }

FCIS_TF_HOST_DEVICE static inline float ToFloat(Half value) {
#ifdef __CUDA_ARCH__
  return __half2float(__ushort_as_half(value.bits));
#else
  // The exponent's bias differs by 112, twice for infinity and NaN. Subnormal halves become 2^-14 too large: no float
  // here is subnormal, since TensorFlow has the processor take those for 0.
  uint32_t magnitude = (value.bits & 0x7fffu) << 13;
  if (magnitude < 0x00800000) {
    magnitude = BitsOf(FloatOf(magnitude + (113u << 23)) - 0x1p-14f);
  } else {
    magnitude += (magnitude >= 0x0f800000 ? 224u : 112u) << 23;
  }
  return FloatOf(magnitude | (value.bits & 0x8000u) << 16);
#endif
}

FCIS_TF_HOST_DEVICE static inline void Store(float value, float* target) { *target = value; }

FCIS_TF_HOST_DEVICE static inline void Store(float value, BFloat16* target) {
  const uint32_t bits = BitsOf(value);
  // To nearest, ties to even; NaN must not be rounded to infinity.
  const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  target->bits = static_cast<uint16_t>(value != value ? 0x7fc0 : rounded);
}

FCIS_TF_HOST_DEVICE static inline void Store(float value, Half* target) {
#ifdef __CUDA_ARCH__
  target->bits = __half_as_ushort(__float2half_rn(value));
#else
  const uint32_t bits = BitsOf(value);
  const uint32_t magnitude = bits & 0x7fffffff;
  uint32_t half;
  if (magnitude > 0x7f800000) {
    half = 0x7e00;
  } else if (magnitude >= 0x477ff000) {
    half = 0x7c00;  // rounds to 2^16 or more
  } else if (magnitude >= 0x38800000) {
    half = (magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13;
  } else {
    // Subnormal: adding 0.5 leaves the rounded multiple of 2^-24 in the lowest bits.
    half = BitsOf(FloatOf(magnitude) + 0.5f) - 0x3f000000;
  }
  target->bits = static_cast<uint16_t>(half | (bits >> 16 & 0x8000));
#endif
}

}  // namespace fcis_tf

#endif  // FCIS_TF_OPS_CC_KERNELS_ELEMENT_TYPES_H_
