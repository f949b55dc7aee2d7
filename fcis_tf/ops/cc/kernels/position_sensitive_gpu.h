// The position-sensitive operators on a GPU, without TensorFlow.

#ifndef FCIS_TF_OPS_CC_KERNELS_POSITION_SENSITIVE_GPU_H_
#define FCIS_TF_OPS_CC_KERNELS_POSITION_SENSITIVE_GPU_H_

#include <cstdint>

#include "element_types.h"
#include "position_sensitive.h"

#ifdef FCIS_TF_HOST_SHIM
#include "cuda_host_shim.h"
#else
#include <cuda_runtime_api.h>
#endif

namespace fcis_tf {

// Each launcher fills its outputs, on the stream, for T = float, Half or BFloat16. All pointers are to memory of the
// device. Callers check sizes; zero boxes and maps without cells are allowed.
//
// Indices lie in memory of the device, so that nobody can check them before the launch: a RoI whose box_index or label
// is out of range gives zeros and passes no gradient. Nothing is read or written outside of the buffers.
//
// All results are the same bits in every run, those of gradients too: there are no atomic operations, and every sum has
// a fixed order. No other kernels are needed under tf.config.experimental.enable_op_determinism.
//
// They return the error of the launch.

// features [batch, height, width, channels], boxes [boxes, 4], box_indices [boxes], output [boxes, P, P, depth]
template <typename T>
cudaError_t LaunchPool(const Sizes& sizes, const T* features, const float* boxes, const int32_t* box_indices,
                       T* output, cudaStream_t stream);

// output_gradient like output, features_gradient like features
template <typename T>
cudaError_t LaunchPoolGradient(const Sizes& sizes, const float* boxes, const int32_t* box_indices,
                               const T* output_gradient, T* features_gradient, cudaStream_t stream);

// Of Sizes with depth = 2 * classes. score_maps like features, and aligned to two elements; labels [boxes], or null for
// each box's best foreground class, of which there must be one; class_logits [boxes, classes], mask_logits [boxes, P,
// P, 2], mask_labels [boxes] (the labels, or what was chosen)
template <typename T>
cudaError_t LaunchAssemble(const Sizes& sizes, const T* score_maps, const float* boxes, const int32_t* box_indices,
                           const int32_t* labels, T* class_logits, T* mask_logits, int32_t* mask_labels,
                           cudaStream_t stream);

// Gradients like what they are the gradients of; mask_labels as LaunchAssemble filled them
template <typename T>
cudaError_t LaunchAssembleGradient(const Sizes& sizes, const T* score_maps, const float* boxes,
                                   const int32_t* box_indices, const int32_t* mask_labels,
                                   const T* class_logits_gradient, const T* mask_logits_gradient,
                                   T* score_maps_gradient, cudaStream_t stream);

}  // namespace fcis_tf

#endif  // FCIS_TF_OPS_CC_KERNELS_POSITION_SENSITIVE_GPU_H_
