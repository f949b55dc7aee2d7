// The position-sensitive operators on a CPU, without TensorFlow: callers validate arguments and divide the work.

#ifndef FCIS_TF_OPS_CC_KERNELS_POSITION_SENSITIVE_CPU_H_
#define FCIS_TF_OPS_CC_KERNELS_POSITION_SENSITIVE_CPU_H_

#include <cstdint>

#include "element_types.h"
#include "position_sensitive.h"

namespace fcis_tf {

// The operators for one element type and one instruction set.
//
// Forward functions fill the outputs of boxes [begin, end). Gradient functions fill the features' gradient for tasks
// [begin, end) of batch * group_size^2: task n * group_size^2 + g owns the channels of grid cell g of image n, and adds
// up the boxes in their order. No two tasks write to the same place, so that nothing depends on the number of threads.
//
// boxes [boxes, 4] and box_indices [boxes] as in fcis_tf.ops; box_indices and labels must be in range.
template <typename T>
struct CpuKernels {
  // output [boxes, P, P, depth]
  void (*pool)(const Sizes&, const T* features, const float* boxes, const int32_t* box_indices, int64_t begin,
               int64_t end, T* output);
  // output_gradient [boxes, P, P, depth], features_gradient like features
  void (*pool_gradient)(const Sizes&, const float* boxes, const int32_t* box_indices, const T* output_gradient,
                        int64_t begin, int64_t end, T* features_gradient);
  // labels [boxes], or null for each box's best foreground class; class_logits [boxes, classes],
  // mask_logits [boxes, P, P, 2], mask_labels [boxes] (the labels, or what was chosen)
  void (*assemble)(const Sizes&, const T* score_maps, const float* boxes, const int32_t* box_indices,
                   const int32_t* labels, int64_t begin, int64_t end, T* class_logits, T* mask_logits,
                   int32_t* mask_labels);
  void (*assemble_gradient)(const Sizes&, const T* score_maps, const float* boxes, const int32_t* box_indices,
                            const int32_t* mask_labels, const T* class_logits_gradient,
                            const T* mask_logits_gradient, int64_t begin, int64_t end, T* score_maps_gradient);
};

// Returns the kernels for an instruction set ("baseline", "avx2" or "avx512"), or null where this processor lacks it.
template <typename T>
const CpuKernels<T>* FindCpuKernels(const char* instruction_set);

// Returns the kernels for the widest instruction set that this processor has.
template <typename T>
const CpuKernels<T>& BestCpuKernels();

}  // namespace fcis_tf

#endif  // FCIS_TF_OPS_CC_KERNELS_POSITION_SENSITIVE_CPU_H_
