// Registration of the operators that render masks: names, types, attributes and shapes.

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "../kernels/mask_rendering.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace fcis_tf {
namespace {

using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

// Checks the inputs that both operators share, sets the boxes' shape, and returns the number of detections.
absl::Status GetDetections(InferenceContext* c, DimensionHandle* detections) {
  ShapeHandle roi_masks, rois, votes, image_size, unused;
  DimensionHandle regions, unused_dimension;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 3, &roi_masks));
  TF_RETURN_IF_ERROR(c->Merge(c->Dim(roi_masks, 1), c->Dim(roi_masks, 2), &unused_dimension));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(1), 2, &rois));
  TF_RETURN_IF_ERROR(c->WithValue(c->Dim(rois, 1), 4, &unused_dimension));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(2), 2, &votes));
  TF_RETURN_IF_ERROR(c->Merge(c->Dim(roi_masks, 0), c->Dim(rois, 0), &regions));
  TF_RETURN_IF_ERROR(c->Merge(regions, c->Dim(votes, 1), &unused_dimension));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(3), 1, &image_size));
  TF_RETURN_IF_ERROR(c->WithValue(c->Dim(image_size, 0), 2, &unused_dimension));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(4), 0, &unused));
  *detections = c->Dim(votes, 0);
  c->set_output(0, c->Matrix(*detections, 4));
  return absl::OkStatus();
}

absl::Status MasksShape(InferenceContext* c) {
  DimensionHandle detections;
  ShapeHandle image, masks;
  TF_RETURN_IF_ERROR(GetDetections(c, &detections));
  TF_RETURN_IF_ERROR(c->MakeShapeFromShapeTensor(3, &image));
  TF_RETURN_IF_ERROR(c->Concatenate(c->Vector(detections), image, &masks));
  c->set_output(1, masks);
  return absl::OkStatus();
}

absl::Status BoxMasksShape(InferenceContext* c) {
  DimensionHandle detections;
  int64_t mask_size;
  TF_RETURN_IF_ERROR(GetDetections(c, &detections));
  TF_RETURN_IF_ERROR(c->GetAttr("mask_size", &mask_size));
  if (mask_size > kLargestMaskSize) {
    return absl::InvalidArgumentError(
        absl::StrCat("mask_size must be in [1, ", kLargestMaskSize, "], found ", mask_size));
  }
  c->set_output(1, c->MakeShape({detections, mask_size, mask_size}));
  return absl::OkStatus();
}

}  // namespace

#define FCIS_TF_INPUTS             \
  .Input("roi_masks: float")       \
      .Input("rois: float")        \
      .Input("votes: float")       \
      .Input("image_size: int32")  \
      .Input("binary_threshold: float") \
      .Attr("threshold_first: bool")    \
      .Output("boxes: float")

REGISTER_OP("FcisTf>RenderMasks")
    FCIS_TF_INPUTS.Output("masks: bool")
    .SetShapeFn(MasksShape)
    .Doc("Masks of detections at the resolution of the image; see fcis_tf.ops.render_masks.");

REGISTER_OP("FcisTf>RenderBoxMasks")
    FCIS_TF_INPUTS.Output("box_masks: float")
    .Attr("mask_size: int >= 1")
    .SetShapeFn(BoxMasksShape)
    .Doc("Masks of detections within their boxes; see fcis_tf.ops.render_box_masks.");

}  // namespace fcis_tf
