// Registration of the operators: names, types, attributes and shapes.

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "../kernels/position_sensitive.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace fcis_tf {
namespace {

using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

// What all four operators have in common: boxes, box_indices and the sizes.
struct Common {
  DimensionHandle boxes;
  int64_t group_size;
  int64_t pooled_size;
};

absl::Status GetCommon(InferenceContext* c, int boxes_input, Common* common) {
  TF_RETURN_IF_ERROR(c->GetAttr("group_size", &common->group_size));
  TF_RETURN_IF_ERROR(c->GetAttr("pooled_size", &common->pooled_size));
  if (common->pooled_size > kLargestPooledSize) {
    return absl::InvalidArgumentError(absl::StrCat("pooled_size must be in [1, ", kLargestPooledSize, "], found ",
                                                   common->pooled_size));
  }
  if (common->pooled_size % common->group_size) {
    return absl::InvalidArgumentError(absl::StrCat("pooled_size ", common->pooled_size,
                                                   " must be a multiple of group_size ", common->group_size));
  }
  ShapeHandle boxes, box_indices;
  DimensionHandle four;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(boxes_input), 2, &boxes));
  TF_RETURN_IF_ERROR(c->WithValue(c->Dim(boxes, 1), 4, &four));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(boxes_input + 1), 1, &box_indices));
  return c->Merge(c->Dim(boxes, 0), c->Dim(box_indices, 0), &common->boxes);
}

// Channels of one grid cell.
absl::Status GetDepth(InferenceContext* c, ShapeHandle features, const Common& common, DimensionHandle* depth) {
  return c->Divide(c->Dim(features, 3), common.group_size * common.group_size, /*evenly_divisible=*/true, depth);
}

absl::Status PoolShape(InferenceContext* c) {
  Common common;
  ShapeHandle features;
  DimensionHandle depth;
  TF_RETURN_IF_ERROR(GetCommon(c, 1, &common));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 4, &features));
  TF_RETURN_IF_ERROR(GetDepth(c, features, common, &depth));
  c->set_output(0, c->MakeShape({common.boxes, common.pooled_size, common.pooled_size, depth}));
  return absl::OkStatus();
}

absl::Status PoolGradShape(InferenceContext* c) {
  Common common;
  ShapeHandle gradient, features;
  DimensionHandle depth;
  TF_RETURN_IF_ERROR(GetCommon(c, 1, &common));
  TF_RETURN_IF_ERROR(c->MakeShapeFromShapeTensor(0, &features));
  TF_RETURN_IF_ERROR(c->WithRank(features, 4, &features));
  TF_RETURN_IF_ERROR(GetDepth(c, features, common, &depth));
  gradient = c->MakeShape({common.boxes, common.pooled_size, common.pooled_size, depth});
  TF_RETURN_IF_ERROR(c->Merge(c->input(3), gradient, &gradient));
  c->set_output(0, features);
  return absl::OkStatus();
}

absl::Status AssembleShape(InferenceContext* c) {
  Common common;
  bool best_class;
  ShapeHandle score_maps, labels;
  DimensionHandle depth, classes;
  TF_RETURN_IF_ERROR(GetCommon(c, 1, &common));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 4, &score_maps));
  TF_RETURN_IF_ERROR(c->GetAttr("best_class", &best_class));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(3), 1, &labels));
  if (!best_class) TF_RETURN_IF_ERROR(c->Merge(c->Dim(labels, 0), common.boxes, &common.boxes));
  TF_RETURN_IF_ERROR(GetDepth(c, score_maps, common, &depth));
  TF_RETURN_IF_ERROR(c->Divide(depth, 2, /*evenly_divisible=*/true, &classes));
  c->set_output(0, c->Matrix(common.boxes, classes));
  c->set_output(1, c->MakeShape({common.boxes, common.pooled_size, common.pooled_size, 2}));
  c->set_output(2, c->Vector(common.boxes));
  return absl::OkStatus();
}

absl::Status AssembleGradShape(InferenceContext* c) {
  Common common;
  ShapeHandle score_maps, unused;
  DimensionHandle depth, classes;
  TF_RETURN_IF_ERROR(GetCommon(c, 1, &common));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 4, &score_maps));
  TF_RETURN_IF_ERROR(GetDepth(c, score_maps, common, &depth));
  TF_RETURN_IF_ERROR(c->Divide(depth, 2, /*evenly_divisible=*/true, &classes));
  TF_RETURN_IF_ERROR(c->Merge(c->input(3), c->Vector(common.boxes), &unused));
  TF_RETURN_IF_ERROR(c->Merge(c->input(4), c->Matrix(common.boxes, classes), &unused));
  const ShapeHandle mask = c->MakeShape({common.boxes, common.pooled_size, common.pooled_size, 2});
  TF_RETURN_IF_ERROR(c->Merge(c->input(5), mask, &unused));
  c->set_output(0, score_maps);
  return absl::OkStatus();
}

}  // namespace

#define FCIS_TF_ATTRIBUTES           \
  .Attr("T: {half, bfloat16, float}") \
      .Attr("group_size: int >= 1")  \
      .Attr("pooled_size: int >= 1") \
      .Attr("stride: float")

REGISTER_OP("FcisTf>PsRoiPool")
    .Input("features: T")
    .Input("boxes: float")
    .Input("box_indices: int32")
    .Output("output: T") FCIS_TF_ATTRIBUTES.SetShapeFn(PoolShape)
    .Doc("Position-sensitive RoI pooling; see fcis_tf.ops.ps_roi_pool.");

REGISTER_OP("FcisTf>PsRoiPoolGrad")
    .Input("features_shape: int32")
    .Input("boxes: float")
    .Input("box_indices: int32")
    .Input("output_gradient: T")
    .Output("features_gradient: T") FCIS_TF_ATTRIBUTES.SetShapeFn(PoolGradShape)
    .Doc("Gradient of FcisTf>PsRoiPool with respect to features.");

REGISTER_OP("FcisTf>PsAssemble")
    .Input("score_maps: T")
    .Input("boxes: float")
    .Input("box_indices: int32")
    .Input("labels: int32")
    .Output("class_logits: T")
    .Output("mask_logits: T")
    .Output("mask_labels: int32") FCIS_TF_ATTRIBUTES.Attr("best_class: bool")
    .SetShapeFn(AssembleShape)
    .Doc("Class and mask logits of every RoI; see fcis_tf.ops.ps_assemble. With best_class, labels is empty.");

REGISTER_OP("FcisTf>PsAssembleGrad")
    .Input("score_maps: T")
    .Input("boxes: float")
    .Input("box_indices: int32")
    .Input("mask_labels: int32")
    .Input("class_logits_gradient: T")
    .Input("mask_logits_gradient: T")
    .Output("score_maps_gradient: T") FCIS_TF_ATTRIBUTES.SetShapeFn(AssembleGradShape)
    .Doc("Gradient of FcisTf>PsAssemble with respect to score_maps.");

}  // namespace fcis_tf
