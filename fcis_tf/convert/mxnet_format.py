"""The names in the authors' MXNet models: fcis_coco-0000.params and resnet_v1_101-0000.params."""

from fcis_tf.convert.channel_orders import FROM_XYWH, anchor_logit_order
from fcis_tf.convert.detector_format import DetectorFormat
from fcis_tf.convert.trunk_layers import TrunkArrays

_PARTS = {"projection": "branch1", "a": "branch2a", "b": "branch2b", "c": "branch2c"}


def _trunk_names(layer):
    if layer.stage == 1:
        convolution, norm = "conv1", "bn_conv1"
    else:
        place = f"{layer.stage}{_block_name(layer)}_{_PARTS[layer.part]}"
        convolution, norm = f"res{place}", f"bn{place}"
    return TrunkArrays(
        kernel=f"arg:{convolution}_weight",
        bias=None,
        gamma=f"arg:{norm}_gamma",
        beta=f"arg:{norm}_beta",
        mean=f"aux:{norm}_moving_mean",
        variance=f"aux:{norm}_moving_var",
    )


def _block_name(layer):
    """Stages of three blocks have a, b and c, longer ones a, b1, b2 and so on."""
    letters = "abc"
    if layer.blocks <= len(letters):
        return letters[layer.block - 1]
    return "a" if layer.block == 1 else f"b{layer.block - 1}"


MXNET = DetectorFormat(
    trunk_names=_trunk_names,
    kernel_name=lambda name: f"arg:{name}_weight",
    bias_name=lambda name: f"arg:{name}_bias",
    rpn_convolution="rpn_conv_3x3",
    rpn_logits="rpn_cls_score",
    rpn_offsets="rpn_bbox_pred",
    reduce="conv_new_1",
    score_maps="fcis_cls_seg",
    box_maps="fcis_bbox",
    rpn_logit_order=anchor_logit_order,
    coordinates=FROM_XYWH,
    # The classifier of ImageNet, and weights that the authors' training had scaled for testing.
    is_ignored=lambda name: name in ("arg:fc1000_weight", "arg:fc1000_bias") or name.endswith("_test"),
    conventions=lambda classes: {
        "stem_padding": "end",
        "box_target_stds": [0.2, 0.2, 0.5, 0.5],
        "round_anchors": True,
        "round_rois": True,
        "proposals": {"min_size": 2, "rank_by": "probability", "whole_cells_only": True},
    },
)
