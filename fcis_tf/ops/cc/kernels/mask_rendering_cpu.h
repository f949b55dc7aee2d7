// Rendering of masks on a CPU, without TensorFlow: callers validate arguments and divide the work.

#ifndef FCIS_TF_OPS_CC_KERNELS_MASK_RENDERING_CPU_H_
#define FCIS_TF_OPS_CC_KERNELS_MASK_RENDERING_CPU_H_

#include <cstdint>

#include "mask_rendering.h"

namespace fcis_tf {

// The operators for one instruction set. They fill the outputs of detections [begin, end).
//
// roi_masks [regions, cells, cells], rois [regions, 4], votes [detections, regions] and boxes [detections, 4] as in
// fcis_tf.ops.
struct MaskKernels {
  // masks [detections, height, width], 0 or 1
  void (*render)(const RenderingSizes&, const float* roi_masks, const float* rois, const float* votes, int64_t begin,
                 int64_t end, float* boxes, uint8_t* masks);
  // box_masks [detections, mask_size, mask_size]
  void (*render_in_boxes)(const RenderingSizes&, const float* roi_masks, const float* rois, const float* votes,
                          int64_t mask_size, int64_t begin, int64_t end, float* boxes, float* box_masks);
};

// Returns the kernels for an instruction set ("baseline", "avx2" or "avx512"), or null where this processor lacks it.
const MaskKernels* FindMaskKernels(const char* instruction_set);

// Returns the kernels for the widest instruction set that this processor has.
const MaskKernels& BestMaskKernels();

}  // namespace fcis_tf

#endif  // FCIS_TF_OPS_CC_KERNELS_MASK_RENDERING_CPU_H_
