// TensorFlow's kernels, but for what runs on the device: attributes, checks of inputs, memory for outputs.

#ifndef FCIS_TF_OPS_CC_KERNELS_POSITION_SENSITIVE_KERNELS_H_
#define FCIS_TF_OPS_CC_KERNELS_POSITION_SENSITIVE_KERNELS_H_

#include <cmath>
#include <cstdint>
#include <limits>

#include "absl/status/status.h"
#include "checks.h"
#include "element_types.h"
#include "position_sensitive.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/register_types.h"

namespace fcis_tf {

// Reads the attributes that the four operators share.
class PositionSensitiveKernel : public tensorflow::OpKernel {
 public:
  explicit PositionSensitiveKernel(tensorflow::OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("group_size", &group_size_));
    OP_REQUIRES_OK(context, context->GetAttr("pooled_size", &pooled_size_));
    OP_REQUIRES_OK(context, context->GetAttr("stride", &stride_));
    OP_REQUIRES(context, group_size_ >= 1 && pooled_size_ >= 1 && pooled_size_ <= kLargestPooledSize,
                InvalidArgument("group_size and pooled_size must be in [1, ", kLargestPooledSize, "], found ",
                                group_size_, " and ", pooled_size_));
    OP_REQUIRES(context, pooled_size_ % group_size_ == 0,
                InvalidArgument("pooled_size ", pooled_size_, " must be a multiple of group_size ", group_size_));
    OP_REQUIRES(context, stride_ > 0 && std::isfinite(stride_),
                InvalidArgument("stride must be a positive number, found ", stride_));
  }

 protected:
  // Checks features, or their shape, with boxes and box_indices, and fills in sizes.
  absl::Status GetSizes(const tensorflow::TensorShape& features, const char* name, int64_t depth_divisor,
                        const tensorflow::Tensor& boxes, const tensorflow::Tensor& box_indices, Sizes* sizes) const {
    if (features.dims() != 4) {
      return InvalidArgument(name, " must have rank 4, found shape ", features.DebugString());
    }
    const int64_t cells = int64_t{group_size_} * group_size_;
    if (features.dim_size(3) > kMostChannels) {
      return InvalidArgument(name, " must have at most ", kMostChannels, " channels, found shape ",
                             features.DebugString());
    }
    if (features.dim_size(3) % (cells * depth_divisor)) {
      return InvalidArgument(name, " must have a multiple of ", cells * depth_divisor, " channels, found ",
                             features.dim_size(3));
    }
    if (features.dim_size(1) > kLargestExtent || features.dim_size(2) > kLargestExtent) {
      return InvalidArgument(name, " must have at most ", kLargestExtent, " rows and columns, found shape ",
                             features.DebugString());
    }
    if (boxes.dims() != 2 || boxes.dim_size(1) != 4) {
      return InvalidArgument("boxes must have shape [R, 4], found ", boxes.shape().DebugString());
    }
    if (box_indices.dims() != 1 || box_indices.dim_size(0) != boxes.dim_size(0)) {
      return InvalidArgument("box_indices must have shape [", boxes.dim_size(0), "], found ",
                             box_indices.shape().DebugString());
    }
    *sizes = {features.dim_size(0),         features.dim_size(1), features.dim_size(2),
              features.dim_size(3) / cells, boxes.dim_size(0),    group_size_,
              pooled_size_,                 stride_};
    return absl::OkStatus();
  }

  // Classes are counted in 32 bits.
  static constexpr int64_t kMostChannels = std::numeric_limits<int32_t>::max();
  // Up to here floats count cells exactly.
  static constexpr int64_t kLargestExtent = 1 << 24;

 private:
  int group_size_;
  int pooled_size_;
  float stride_;
};

// Checks that [R] indices in memory of the host lie within [0, limit).
inline absl::Status CheckRange(const tensorflow::Tensor& indices, int64_t limit, const char* name) {
  const auto values = indices.vec<int32_t>();
  for (int64_t i = 0; i < values.size(); ++i) {
    if (values(i) < 0 || values(i) >= limit) {
      return InvalidArgument(name, "[", i, "] is ", values(i), ", which is not in [0, ", limit, ")");
    }
  }
  return absl::OkStatus();
}

// The storage that the loops work on: that of Eigen's types, bit for bit.
template <typename T>
struct Storage {
  typedef T Type;
};
template <>
struct Storage<Eigen::half> {
  typedef Half Type;
};
template <>
struct Storage<Eigen::bfloat16> {
  typedef BFloat16 Type;
};

template <typename T>
const typename Storage<T>::Type* Input(const tensorflow::Tensor& tensor) {
  return reinterpret_cast<const typename Storage<T>::Type*>(tensor.flat<T>().data());
}

template <typename T>
typename Storage<T>::Type* Output(tensorflow::Tensor* tensor) {
  return reinterpret_cast<typename Storage<T>::Type*>(tensor->flat<T>().data());
}

// A Device has static functions Pool, PoolGradient, Assemble and AssembleGradient, which fill the outputs, and
// kIndicesOnHost: whether indices can be checked, and raise an error, before anything runs.

template <typename Device, typename T>
class PsRoiPool : public PositionSensitiveKernel {
 public:
  using PositionSensitiveKernel::PositionSensitiveKernel;

  void Compute(tensorflow::OpKernelContext* context) override {
    const tensorflow::Tensor &features = context->input(0), &boxes = context->input(1),
                             &box_indices = context->input(2);
    Sizes sizes;
    OP_REQUIRES_OK(context, GetSizes(features.shape(), "features", 1, boxes, box_indices, &sizes));
    if constexpr (Device::kIndicesOnHost) {
      OP_REQUIRES_OK(context, CheckRange(box_indices, sizes.batch, "box_indices"));
    }
    tensorflow::TensorShape shape;
    OP_REQUIRES_OK(context, tensorflow::TensorShape::BuildTensorShape(
                                {sizes.boxes, sizes.pooled_size, sizes.pooled_size, sizes.depth}, &shape));
    tensorflow::Tensor* output;
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &output));
    if (!output->NumElements()) return;
    Device::Pool(context, sizes, Input<T>(features), Input<float>(boxes), Input<int32_t>(box_indices),
                 Output<T>(output));
  }
};

template <typename Device, typename T>
class PsRoiPoolGrad : public PositionSensitiveKernel {
 public:
  using PositionSensitiveKernel::PositionSensitiveKernel;

  void Compute(tensorflow::OpKernelContext* context) override {
    const tensorflow::Tensor &features_shape = context->input(0), &boxes = context->input(1),
                             &box_indices = context->input(2), &gradient = context->input(3);
    tensorflow::TensorShape features;
    OP_REQUIRES(context, features_shape.dims() == 1, InvalidArgument("features_shape must have rank 1"));
    OP_REQUIRES_OK(context, tensorflow::TensorShapeUtils::MakeShape(features_shape.vec<int32_t>(), &features));
    Sizes sizes;
    OP_REQUIRES_OK(context, GetSizes(features, "features", 1, boxes, box_indices, &sizes));
    if constexpr (Device::kIndicesOnHost) {
      OP_REQUIRES_OK(context, CheckRange(box_indices, sizes.batch, "box_indices"));
    }
    OP_REQUIRES_OK(context,
                   CheckShape(gradient, {sizes.boxes, sizes.pooled_size, sizes.pooled_size, sizes.depth},
                              "output_gradient"));
    tensorflow::Tensor* output;
    OP_REQUIRES_OK(context, context->allocate_output(0, features, &output));
    if (!output->NumElements()) return;
    Device::PoolGradient(context, sizes, Input<float>(boxes), Input<int32_t>(box_indices), Input<T>(gradient),
                         Output<T>(output));
  }
};

template <typename Device, typename T>
class PsAssemble : public PositionSensitiveKernel {
 public:
  explicit PsAssemble(tensorflow::OpKernelConstruction* context) : PositionSensitiveKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("best_class", &best_class_));
  }

  void Compute(tensorflow::OpKernelContext* context) override {
    using tensorflow::TensorShape;
    const tensorflow::Tensor &score_maps = context->input(0), &boxes = context->input(1),
                             &box_indices = context->input(2), &labels = context->input(3);
    Sizes sizes;
    OP_REQUIRES_OK(context, GetSizes(score_maps.shape(), "score_maps", 2, boxes, box_indices, &sizes));
    if constexpr (Device::kIndicesOnHost) {
      OP_REQUIRES_OK(context, CheckRange(box_indices, sizes.batch, "box_indices"));
    }
    const int64_t classes = sizes.depth / 2;
    if (best_class_) {
      OP_REQUIRES(context, classes >= 2,
                  InvalidArgument("score_maps must have the background and a class to choose from, found ", classes,
                                  " classes"));
    } else {
      OP_REQUIRES_OK(context, CheckShape(labels, {sizes.boxes}, "labels"));
      if constexpr (Device::kIndicesOnHost) OP_REQUIRES_OK(context, CheckRange(labels, classes, "labels"));
    }
    TensorShape class_shape, mask_shape;
    OP_REQUIRES_OK(context, TensorShape::BuildTensorShape({sizes.boxes, classes}, &class_shape));
    OP_REQUIRES_OK(context, TensorShape::BuildTensorShape({sizes.boxes, sizes.pooled_size, sizes.pooled_size, 2},
                                                          &mask_shape));
    tensorflow::Tensor *class_logits, *mask_logits, *mask_labels;
    OP_REQUIRES_OK(context, context->allocate_output(0, class_shape, &class_logits));
    OP_REQUIRES_OK(context, context->allocate_output(1, mask_shape, &mask_logits));
    OP_REQUIRES_OK(context, context->allocate_output(2, TensorShape({sizes.boxes}), &mask_labels));
    Device::Assemble(context, sizes, Input<T>(score_maps), Input<float>(boxes), Input<int32_t>(box_indices),
                     best_class_ ? nullptr : Input<int32_t>(labels), Output<T>(class_logits), Output<T>(mask_logits),
                     Output<int32_t>(mask_labels));
  }

 private:
  bool best_class_;
};

template <typename Device, typename T>
class PsAssembleGrad : public PositionSensitiveKernel {
 public:
  using PositionSensitiveKernel::PositionSensitiveKernel;

  void Compute(tensorflow::OpKernelContext* context) override {
    const tensorflow::Tensor &score_maps = context->input(0), &boxes = context->input(1),
                             &box_indices = context->input(2), &labels = context->input(3),
                             &class_gradient = context->input(4), &mask_gradient = context->input(5);
    Sizes sizes;
    OP_REQUIRES_OK(context, GetSizes(score_maps.shape(), "score_maps", 2, boxes, box_indices, &sizes));
    const int64_t classes = sizes.depth / 2;
    OP_REQUIRES_OK(context, CheckShape(labels, {sizes.boxes}, "mask_labels"));
    if constexpr (Device::kIndicesOnHost) {
      OP_REQUIRES_OK(context, CheckRange(box_indices, sizes.batch, "box_indices"));
      OP_REQUIRES_OK(context, CheckRange(labels, classes, "mask_labels"));
    }
    OP_REQUIRES_OK(context, CheckShape(class_gradient, {sizes.boxes, classes}, "class_logits_gradient"));
    OP_REQUIRES_OK(context, CheckShape(mask_gradient, {sizes.boxes, sizes.pooled_size, sizes.pooled_size, 2},
                                       "mask_logits_gradient"));
    tensorflow::Tensor* output;
    OP_REQUIRES_OK(context, context->allocate_output(0, score_maps.shape(), &output));
    if (!output->NumElements()) return;
    Device::AssembleGradient(context, sizes, Input<T>(score_maps), Input<float>(boxes), Input<int32_t>(box_indices),
                             Input<int32_t>(labels), Input<T>(class_gradient), Input<T>(mask_gradient),
                             Output<T>(output));
  }
};

}  // namespace fcis_tf

#define FCIS_TF_REGISTER_TYPE(Where, DEVICE, T)                                                                   \
  REGISTER_KERNEL_BUILDER(Name("FcisTf>PsRoiPool").Device(DEVICE).TypeConstraint<T>("T"), PsRoiPool<Where, T>);   \
  REGISTER_KERNEL_BUILDER(                                                                                        \
      Name("FcisTf>PsRoiPoolGrad").Device(DEVICE).HostMemory("features_shape").TypeConstraint<T>("T"),            \
      PsRoiPoolGrad<Where, T>);                                                                                   \
  REGISTER_KERNEL_BUILDER(Name("FcisTf>PsAssemble").Device(DEVICE).TypeConstraint<T>("T"), PsAssemble<Where, T>); \
  REGISTER_KERNEL_BUILDER(Name("FcisTf>PsAssembleGrad").Device(DEVICE).TypeConstraint<T>("T"),                    \
                          PsAssembleGrad<Where, T>)

// Registers a Device's kernels for all element types.
#define FCIS_TF_REGISTER(Where, DEVICE)              \
  FCIS_TF_REGISTER_TYPE(Where, DEVICE, float);       \
  FCIS_TF_REGISTER_TYPE(Where, DEVICE, Eigen::half); \
  FCIS_TF_REGISTER_TYPE(Where, DEVICE, Eigen::bfloat16)

#endif  // FCIS_TF_OPS_CC_KERNELS_POSITION_SENSITIVE_KERNELS_H_
