// What TensorFlow's kernels say of inputs that are wrong.

#ifndef FCIS_TF_OPS_CC_KERNELS_CHECKS_H_
#define FCIS_TF_OPS_CC_KERNELS_CHECKS_H_

#include <cstdint>
#include <initializer_list>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tensorflow/core/framework/tensor.h"

namespace fcis_tf {

template <typename... Parts>
absl::Status InvalidArgument(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

inline absl::Status CheckShape(const tensorflow::Tensor& tensor, std::initializer_list<int64_t> expected,
                               const char* name) {
  if (tensor.shape().dim_sizes() == absl::InlinedVector<int64_t, 4>(expected)) return absl::OkStatus();
  return InvalidArgument(name, " must have shape [", absl::StrJoin(expected, ","), "], found ",
                         tensor.shape().DebugString());
}

}  // namespace fcis_tf

#endif  // FCIS_TF_OPS_CC_KERNELS_CHECKS_H_
