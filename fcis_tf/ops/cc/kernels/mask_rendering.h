// What rendering masks computes: sizes, the pixels that a region covers, and where they lie in its mask.

#ifndef FCIS_TF_OPS_CC_KERNELS_MASK_RENDERING_H_
#define FCIS_TF_OPS_CC_KERNELS_MASK_RENDERING_H_

#include <cmath>
#include <cstdint>

#include "host_device.h"
#include "range.h"

namespace fcis_tf {

constexpr int64_t kLargestMaskSize = 1024;
// Up to here floats hold the centres of pixels exactly.
constexpr int64_t kLargestImageExtent = 1 << 23;

// Sizes and thresholds of one call. Regions' masks are [regions, cells, cells].
struct RenderingSizes {
  int64_t regions;
  int64_t cells;
  int64_t detections;
  int64_t height;
  int64_t width;
  float threshold;
  bool threshold_first;
};

// One axis of a region, in pixels.
struct RegionAxis {
  float low;
  float side;
  float cells;
  // Those whose centres lie in the region, and in the image.
  Range pixels;

  FCIS_TF_HOST_DEVICE RegionAxis(float low_edge, float high_edge, int64_t extent, const RenderingSizes& sizes)
      : cells(static_cast<float>(sizes.cells)), pixels{0, 0} {
    // As the authors' code rounds: halves to the even neighbour.
    low = sizes.threshold_first ? std::rint(low_edge) : low_edge;
    const float high = sizes.threshold_first ? std::rint(high_edge) : high_edge;
    side = high - low;
    // False for NaN.
    if (!(std::isfinite(side) && sizes.cells > 0)) return;
    // In double, as floats would round what lies just beside a centre.
    const double begin = std::ceil(static_cast<double>(low) - 0.5), end = std::ceil(static_cast<double>(high) - 0.5);
    const double limit = static_cast<double>(extent);
    pixels.begin = static_cast<int>(begin < 0 ? 0 : begin > limit ? limit : begin);
    pixels.end = static_cast<int>(end < pixels.begin ? pixels.begin : end > limit ? limit : end);
  }
};

}  // namespace fcis_tf

#endif  // FCIS_TF_OPS_CC_KERNELS_MASK_RENDERING_H_
