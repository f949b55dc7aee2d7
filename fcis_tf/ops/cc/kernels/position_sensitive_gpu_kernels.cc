// TensorFlow's kernels for GPUs: launches on TensorFlow's stream.
//
// Of CUDA this needs the types alone. TensorFlow's and Eigen's own headers for GPUs are not included: with CUDA 13
// those of TensorFlow 2.20 do not compile.

#include "position_sensitive_gpu.h"
#include "position_sensitive_kernels.h"
#include "xla/stream_executor/stream.h"

namespace fcis_tf {
namespace {

using tensorflow::OpKernelContext;

cudaStream_t StreamOf(OpKernelContext* context) {
  return static_cast<cudaStream_t>(context->op_device_context()->stream()->platform_specific_handle().stream);
}

void SetStatus(OpKernelContext* context, cudaError_t error) {
  OP_REQUIRES(context, error == cudaSuccess,
              absl::InternalError(absl::StrCat("CUDA: ", cudaGetErrorName(error), ": ", cudaGetErrorString(error))));
}

struct Gpu {
  // They lie in memory of the device: indices out of range give zeros.
  static constexpr bool kIndicesOnHost = false;

  template <typename T>
  static void Pool(OpKernelContext* context, const Sizes& sizes, const T* features, const float* boxes,
                   const int32_t* box_indices, T* output) {
    SetStatus(context, LaunchPool(sizes, features, boxes, box_indices, output, StreamOf(context)));
  }

  template <typename T>
  static void PoolGradient(OpKernelContext* context, const Sizes& sizes, const float* boxes,
                           const int32_t* box_indices, const T* output_gradient, T* features_gradient) {
    SetStatus(context, LaunchPoolGradient(sizes, boxes, box_indices, output_gradient, features_gradient,
                                          StreamOf(context)));
  }

  template <typename T>
  static void Assemble(OpKernelContext* context, const Sizes& sizes, const T* score_maps, const float* boxes,
                       const int32_t* box_indices, const int32_t* labels, T* class_logits, T* mask_logits,
                       int32_t* mask_labels) {
    SetStatus(context, LaunchAssemble(sizes, score_maps, boxes, box_indices, labels, class_logits, mask_logits,
                                      mask_labels, StreamOf(context)));
  }

  template <typename T>
  static void AssembleGradient(OpKernelContext* context, const Sizes& sizes, const T* score_maps, const float* boxes,
                               const int32_t* box_indices, const int32_t* mask_labels,
                               const T* class_logits_gradient, const T* mask_logits_gradient,
                               T* score_maps_gradient) {
    SetStatus(context,
              LaunchAssembleGradient(sizes, score_maps, boxes, box_indices, mask_labels, class_logits_gradient,
                                     mask_logits_gradient, score_maps_gradient, StreamOf(context)));
  }
};

FCIS_TF_REGISTER(Gpu, tensorflow::DEVICE_GPU);

}  // namespace
}  // namespace fcis_tf
