// TensorFlow's kernels for the CPU: checks, memory, and division of the work among threads.

#include <algorithm>

#include "position_sensitive_cpu.h"
#include "position_sensitive_kernels.h"
#include "tensorflow/core/framework/register_types.h"
#include "tensorflow/core/platform/threadpool.h"

namespace fcis_tf {
namespace {

using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;

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
const typename Storage<T>::Type* Input(const Tensor& tensor) {
  return reinterpret_cast<const typename Storage<T>::Type*>(tensor.flat<T>().data());
}

template <typename T>
typename Storage<T>::Type* Output(Tensor* tensor) {
  return reinterpret_cast<typename Storage<T>::Type*>(tensor->flat<T>().data());
}

template <typename T>
const CpuKernels<typename Storage<T>::Type>& Kernels() {
  return BestCpuKernels<typename Storage<T>::Type>();
}

// Most bins touch about this many cells.
constexpr int64_t kCellsOfBin = 4;

// Divides count boxes, or grid cells, among the threads.
template <typename Function>
void Divide(OpKernelContext* context, int64_t count, int64_t floats_of_each, Function function) {
  using tensorflow::thread::ThreadPool;
  const auto scheduling = ThreadPool::SchedulingParams::Adaptive(std::max<int64_t>(floats_of_each, 1));
  context->device()->tensorflow_cpu_worker_threads()->workers->ParallelFor(count, scheduling, function);
}

int64_t BinsOf(const Sizes& sizes) { return int64_t{sizes.pooled_size} * sizes.pooled_size; }

int64_t Tasks(const Sizes& sizes) { return sizes.batch * sizes.group_size * sizes.group_size; }

int64_t CostOfBox(const Sizes& sizes) { return BinsOf(sizes) * sizes.depth * kCellsOfBin; }

int64_t CostOfTask(const Sizes& sizes) {
  const int64_t tasks = std::max<int64_t>(Tasks(sizes), 1);
  return sizes.height * sizes.width * sizes.depth + sizes.boxes * CostOfBox(sizes) * 2 / tasks;
}

template <typename T>
class PsRoiPoolCpu : public PositionSensitiveKernel {
 public:
  using PositionSensitiveKernel::PositionSensitiveKernel;

  void Compute(OpKernelContext* context) override {
    const Tensor &features = context->input(0), &boxes = context->input(1), &box_indices = context->input(2);
    Sizes sizes;
    OP_REQUIRES_OK(context, GetSizes(features.shape(), "features", 1, boxes, box_indices, &sizes));
    OP_REQUIRES_OK(context, CheckRange(box_indices, sizes.batch, "box_indices"));
    TensorShape shape;
    OP_REQUIRES_OK(context, TensorShape::BuildTensorShape(
                                {sizes.boxes, sizes.pooled_size, sizes.pooled_size, sizes.depth}, &shape));
    Tensor* output;
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &output));
    if (!output->NumElements()) return;
    Divide(context, sizes.boxes, CostOfBox(sizes), [&](int64_t begin, int64_t end) {
      Kernels<T>().pool(sizes, Input<T>(features), Input<float>(boxes), Input<int32_t>(box_indices), begin, end,
                        Output<T>(output));
    });
  }
};

template <typename T>
class PsRoiPoolGradCpu : public PositionSensitiveKernel {
 public:
  using PositionSensitiveKernel::PositionSensitiveKernel;

  void Compute(OpKernelContext* context) override {
    const Tensor &features_shape = context->input(0), &boxes = context->input(1), &box_indices = context->input(2),
                 &gradient = context->input(3);
    TensorShape features;
    OP_REQUIRES(context, features_shape.dims() == 1, InvalidArgument("features_shape must have rank 1"));
    OP_REQUIRES_OK(context, tensorflow::TensorShapeUtils::MakeShape(features_shape.vec<int32_t>(), &features));
    Sizes sizes;
    OP_REQUIRES_OK(context, GetSizes(features, "features", 1, boxes, box_indices, &sizes));
    OP_REQUIRES_OK(context, CheckRange(box_indices, sizes.batch, "box_indices"));
    OP_REQUIRES_OK(context,
                   CheckShape(gradient, {sizes.boxes, sizes.pooled_size, sizes.pooled_size, sizes.depth},
                              "output_gradient"));
    Tensor* output;
    OP_REQUIRES_OK(context, context->allocate_output(0, features, &output));
    if (!output->NumElements()) return;
    Divide(context, Tasks(sizes), CostOfTask(sizes), [&](int64_t begin, int64_t end) {
      Kernels<T>().pool_gradient(sizes, Input<float>(boxes), Input<int32_t>(box_indices), Input<T>(gradient), begin,
                                 end, Output<T>(output));
    });
  }
};

template <typename T>
class PsAssembleCpu : public PositionSensitiveKernel {
 public:
  explicit PsAssembleCpu(OpKernelConstruction* context) : PositionSensitiveKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("best_class", &best_class_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor &score_maps = context->input(0), &boxes = context->input(1), &box_indices = context->input(2),
                 &labels = context->input(3);
    Sizes sizes;
    OP_REQUIRES_OK(context, GetSizes(score_maps.shape(), "score_maps", 2, boxes, box_indices, &sizes));
    OP_REQUIRES_OK(context, CheckRange(box_indices, sizes.batch, "box_indices"));
    const int64_t classes = sizes.depth / 2;
    if (best_class_) {
      OP_REQUIRES(context, classes >= 2,
                  InvalidArgument("score_maps must have the background and a class to choose from, found ", classes,
                                  " classes"));
    } else {
      OP_REQUIRES_OK(context, CheckShape(labels, {sizes.boxes}, "labels"));
      OP_REQUIRES_OK(context, CheckRange(labels, classes, "labels"));
    }
    TensorShape class_shape, mask_shape;
    OP_REQUIRES_OK(context, TensorShape::BuildTensorShape({sizes.boxes, classes}, &class_shape));
    OP_REQUIRES_OK(context, TensorShape::BuildTensorShape({sizes.boxes, sizes.pooled_size, sizes.pooled_size, 2},
                                                          &mask_shape));
    Tensor *class_logits, *mask_logits, *mask_labels;
    OP_REQUIRES_OK(context, context->allocate_output(0, class_shape, &class_logits));
    OP_REQUIRES_OK(context, context->allocate_output(1, mask_shape, &mask_logits));
    OP_REQUIRES_OK(context, context->allocate_output(2, TensorShape({sizes.boxes}), &mask_labels));
    Divide(context, sizes.boxes, CostOfBox(sizes), [&](int64_t begin, int64_t end) {
      Kernels<T>().assemble(sizes, Input<T>(score_maps), Input<float>(boxes), Input<int32_t>(box_indices),
                            best_class_ ? nullptr : Input<int32_t>(labels), begin, end, Output<T>(class_logits),
                            Output<T>(mask_logits), Output<int32_t>(mask_labels));
    });
  }

 private:
  bool best_class_;
};

template <typename T>
class PsAssembleGradCpu : public PositionSensitiveKernel {
 public:
  using PositionSensitiveKernel::PositionSensitiveKernel;

  void Compute(OpKernelContext* context) override {
    const Tensor &score_maps = context->input(0), &boxes = context->input(1), &box_indices = context->input(2),
                 &labels = context->input(3), &class_gradient = context->input(4), &mask_gradient = context->input(5);
    Sizes sizes;
    OP_REQUIRES_OK(context, GetSizes(score_maps.shape(), "score_maps", 2, boxes, box_indices, &sizes));
    OP_REQUIRES_OK(context, CheckRange(box_indices, sizes.batch, "box_indices"));
    const int64_t classes = sizes.depth / 2;
    OP_REQUIRES_OK(context, CheckShape(labels, {sizes.boxes}, "mask_labels"));
    OP_REQUIRES_OK(context, CheckRange(labels, classes, "mask_labels"));
    OP_REQUIRES_OK(context, CheckShape(class_gradient, {sizes.boxes, classes}, "class_logits_gradient"));
    OP_REQUIRES_OK(context, CheckShape(mask_gradient, {sizes.boxes, sizes.pooled_size, sizes.pooled_size, 2},
                                       "mask_logits_gradient"));
    Tensor* output;
    OP_REQUIRES_OK(context, context->allocate_output(0, score_maps.shape(), &output));
    if (!output->NumElements()) return;
    Divide(context, Tasks(sizes), CostOfTask(sizes), [&](int64_t begin, int64_t end) {
      Kernels<T>().assemble_gradient(sizes, Input<T>(score_maps), Input<float>(boxes), Input<int32_t>(box_indices),
                                     Input<int32_t>(labels), Input<T>(class_gradient), Input<T>(mask_gradient), begin,
                                     end, Output<T>(output));
    });
  }
};

#define FCIS_TF_REGISTER(T)                                                                                   \
  REGISTER_KERNEL_BUILDER(Name("FcisTf>PsRoiPool").Device(tensorflow::DEVICE_CPU).TypeConstraint<T>("T"),     \
                          PsRoiPoolCpu<T>);                                                                   \
  REGISTER_KERNEL_BUILDER(Name("FcisTf>PsRoiPoolGrad").Device(tensorflow::DEVICE_CPU).TypeConstraint<T>("T"), \
                          PsRoiPoolGradCpu<T>);                                                               \
  REGISTER_KERNEL_BUILDER(Name("FcisTf>PsAssemble").Device(tensorflow::DEVICE_CPU).TypeConstraint<T>("T"),    \
                          PsAssembleCpu<T>);                                                                  \
  REGISTER_KERNEL_BUILDER(Name("FcisTf>PsAssembleGrad").Device(tensorflow::DEVICE_CPU).TypeConstraint<T>("T"), \
                          PsAssembleGradCpu<T>)

FCIS_TF_REGISTER(float);
FCIS_TF_REGISTER(Eigen::half);
FCIS_TF_REGISTER(Eigen::bfloat16);

}  // namespace
}  // namespace fcis_tf
