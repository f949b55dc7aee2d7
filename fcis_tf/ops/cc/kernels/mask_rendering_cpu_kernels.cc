// TensorFlow's kernels that render masks: attributes, checks of inputs, memory for outputs, division of the work.

#include <cstdint>

#include "absl/status/status.h"
#include "checks.h"
#include "divide_work.h"
#include "mask_rendering_cpu.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace fcis_tf {
namespace {

using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;

// What both operators have in common: the inputs, their checks, and the boxes.
class MaskRenderingKernel : public tensorflow::OpKernel {
 public:
  explicit MaskRenderingKernel(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("threshold_first", &threshold_first_));
  }

 protected:
  absl::Status GetSizes(OpKernelContext* context, RenderingSizes* sizes) const {
    const Tensor &roi_masks = context->input(0), &rois = context->input(1), &votes = context->input(2),
                 &image_size = context->input(3), &threshold = context->input(4);
    if (roi_masks.dims() != 3 || roi_masks.dim_size(1) != roi_masks.dim_size(2) ||
        roi_masks.dim_size(1) > kLargestMaskSize) {
      return InvalidArgument("roi_masks must have shape [R, P, P] with P at most ", kLargestMaskSize, ", found ",
                             roi_masks.shape().DebugString());
    }
    const int64_t regions = roi_masks.dim_size(0);
    TF_RETURN_IF_ERROR(CheckShape(rois, {regions, 4}, "rois"));
    if (votes.dims() != 2 || votes.dim_size(1) != regions) {
      return InvalidArgument("votes must have shape [D,", regions, "], found ", votes.shape().DebugString());
    }
    TF_RETURN_IF_ERROR(CheckShape(image_size, {2}, "image_size"));
    TF_RETURN_IF_ERROR(CheckShape(threshold, {}, "binary_threshold"));
    const auto size = image_size.vec<int32_t>();
    for (int axis = 0; axis < 2; ++axis) {
      if (size(axis) < 0 || size(axis) > kLargestImageExtent) {
        return InvalidArgument("image_size must be in [0, ", kLargestImageExtent, "], found ", size(0), " x ", size(1));
      }
    }
    *sizes = {regions, roi_masks.dim_size(1),        votes.dim_size(0), size(0),
              size(1), threshold.scalar<float>()(), threshold_first_};
    return absl::OkStatus();
  }

  // Calls function(begin, end) for all detections, each of which is work enough for a thread.
  template <typename Function>
  static void Divide(OpKernelContext* context, const RenderingSizes& sizes, Function function) {
    using tensorflow::thread::ThreadPool;
    if (sizes.detections) DivideWork(context, sizes.detections, ThreadPool::SchedulingParams::Fixed(1), function);
  }

  static const float* Input(OpKernelContext* context, int index) { return context->input(index).flat<float>().data(); }

 private:
  bool threshold_first_;
};

class RenderMasks : public MaskRenderingKernel {
 public:
  using MaskRenderingKernel::MaskRenderingKernel;

  void Compute(OpKernelContext* context) override {
    RenderingSizes sizes;
    OP_REQUIRES_OK(context, GetSizes(context, &sizes));
    TensorShape shape;
    OP_REQUIRES_OK(context,
                   TensorShape::BuildTensorShape({sizes.detections, sizes.height, sizes.width}, &shape));
    Tensor *boxes, *masks;
    OP_REQUIRES_OK(context, context->allocate_output(0, TensorShape({sizes.detections, 4}), &boxes));
    OP_REQUIRES_OK(context, context->allocate_output(1, shape, &masks));
    static_assert(sizeof(bool) == sizeof(uint8_t), "masks are written as bytes");
    uint8_t* const bytes = reinterpret_cast<uint8_t*>(masks->flat<bool>().data());
    Divide(context, sizes, [&](int64_t begin, int64_t end) {
      BestMaskKernels().render(sizes, Input(context, 0), Input(context, 1), Input(context, 2), begin, end,
                               boxes->flat<float>().data(), bytes);
    });
  }
};

class RenderBoxMasks : public MaskRenderingKernel {
 public:
  explicit RenderBoxMasks(OpKernelConstruction* context) : MaskRenderingKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("mask_size", &mask_size_));
    OP_REQUIRES(context, mask_size_ >= 1 && mask_size_ <= kLargestMaskSize,
                InvalidArgument("mask_size must be in [1, ", kLargestMaskSize, "], found ", mask_size_));
  }

  void Compute(OpKernelContext* context) override {
    RenderingSizes sizes;
    OP_REQUIRES_OK(context, GetSizes(context, &sizes));
    TensorShape shape;
    OP_REQUIRES_OK(context, TensorShape::BuildTensorShape({sizes.detections, mask_size_, mask_size_}, &shape));
    Tensor *boxes, *box_masks;
    OP_REQUIRES_OK(context, context->allocate_output(0, TensorShape({sizes.detections, 4}), &boxes));
    OP_REQUIRES_OK(context, context->allocate_output(1, shape, &box_masks));
    Divide(context, sizes, [&](int64_t begin, int64_t end) {
      BestMaskKernels().render_in_boxes(sizes, Input(context, 0), Input(context, 1), Input(context, 2), mask_size_,
                                        begin, end, boxes->flat<float>().data(), box_masks->flat<float>().data());
    });
  }

 private:
  int64_t mask_size_;
};

REGISTER_KERNEL_BUILDER(Name("FcisTf>RenderMasks").Device(tensorflow::DEVICE_CPU), RenderMasks);
REGISTER_KERNEL_BUILDER(Name("FcisTf>RenderBoxMasks").Device(tensorflow::DEVICE_CPU), RenderBoxMasks);

}  // namespace
}  // namespace fcis_tf
