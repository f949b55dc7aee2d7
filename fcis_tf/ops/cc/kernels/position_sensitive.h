// What the position-sensitive operators compute: sizes, and the cells that a bin covers. Shared by CPU and CUDA.

#ifndef FCIS_TF_OPS_CC_KERNELS_POSITION_SENSITIVE_H_
#define FCIS_TF_OPS_CC_KERNELS_POSITION_SENSITIVE_H_

#include <math.h>

#include <cstdint>

#include "host_device.h"
#include "range.h"

namespace fcis_tf {

constexpr int kLargestPooledSize = 1024;

// Sizes of one call. Features are [batch, height, width, group_size^2 * depth]; for assembly depth = 2 * classes.
struct Sizes {
  int64_t batch;
  int64_t height;
  int64_t width;
  int64_t depth;
  int64_t boxes;
  int group_size;
  int pooled_size;
  float stride;

  FCIS_TF_HOST_DEVICE int64_t channels() const { return int64_t{group_size} * group_size * depth; }
  FCIS_TF_HOST_DEVICE int bins_per_cell() const { return pooled_size / group_size; }
};

// The definition rounds after each operation: no fused multiply-add, which would move edges by a whole cell.
#ifdef __CUDA_ARCH__
FCIS_TF_HOST_DEVICE inline float MultiplyRounded(float a, float b) { return __fmul_rn(a, b); }
FCIS_TF_HOST_DEVICE inline float AddRounded(float a, float b) { return __fadd_rn(a, b); }
FCIS_TF_HOST_DEVICE inline float DivideRounded(float a, float b) { return __fdiv_rn(a, b); }
#else
FCIS_TF_HOST_DEVICE inline float MultiplyRounded(float a, float b) { return a * b; }
FCIS_TF_HOST_DEVICE inline float AddRounded(float a, float b) { return a + b; }
FCIS_TF_HOST_DEVICE inline float DivideRounded(float a, float b) { return a / b; }
#endif

// One axis of a box, in cells.
struct Axis {
  float low;
  float bin_size;
  float extent;

  // low, high: edges of the box in pixels; extent: cells of the map along this axis.
  FCIS_TF_HOST_DEVICE Axis(float low_edge, float high_edge, int64_t extent, const Sizes& sizes)
      : extent(static_cast<float>(extent)) {
    low = DivideRounded(roundf(low_edge), sizes.stride);
    const float high = DivideRounded(roundf(high_edge), sizes.stride);
    const float side = AddRounded(high, -low);
    // An edge that is infinite or undefined makes all bins' edges undefined, and so the bins empty.
    bin_size = DivideRounded(isfinite(side) ? fmaxf(side, 0.1f) : NAN, static_cast<float>(sizes.pooled_size));
  }

  // Cells that a bin covers.
  FCIS_TF_HOST_DEVICE Range Bin(int index) const {
    const float begin = floorf(AddRounded(MultiplyRounded(static_cast<float>(index), bin_size), low));
    const float end = ceilf(AddRounded(MultiplyRounded(static_cast<float>(index + 1), bin_size), low));
    // False for NaN.
    if (!(begin < end)) return {0, 0};
    return {static_cast<int>(fminf(fmaxf(begin, 0.0f), extent)), static_cast<int>(fminf(fmaxf(end, 0.0f), extent))};
  }
};

}  // namespace fcis_tf

#endif  // FCIS_TF_OPS_CC_KERNELS_POSITION_SENSITIVE_H_
