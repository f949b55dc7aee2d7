// What the TensorFlow kernels of all devices share: reading attributes and checking inputs.

#ifndef FCIS_TF_OPS_CC_KERNELS_POSITION_SENSITIVE_KERNELS_H_
#define FCIS_TF_OPS_CC_KERNELS_POSITION_SENSITIVE_KERNELS_H_

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "position_sensitive.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace fcis_tf {

template <typename... Parts>
absl::Status InvalidArgument(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

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

inline absl::Status CheckShape(const tensorflow::Tensor& tensor, std::initializer_list<int64_t> expected,
                               const char* name) {
  if (tensor.shape().dim_sizes() == absl::InlinedVector<int64_t, 4>(expected)) return absl::OkStatus();
  return InvalidArgument(name, " must have shape [", absl::StrJoin(expected, ","), "], found ",
                         tensor.shape().DebugString());
}

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

}  // namespace fcis_tf

#endif  // FCIS_TF_OPS_CC_KERNELS_POSITION_SENSITIVE_KERNELS_H_
