"""The names in ChainerCV's FCISResNet101 (.npz)."""

import numpy as np

from fcis_tf.convert.channel_orders import FROM_YXHW
from fcis_tf.convert.detector_format import DetectorFormat
from fcis_tf.convert.trunk_layers import TrunkArrays

_PARTS = {"projection": "residual_conv", "a": "conv1", "b": "conv2", "c": "conv3"}


# Of proposals, in pixels: as ChainerCV has it for its models of VOC and of COCO.
_MIN_SIZES = {20: 16, 80: 2}


def _trunk_names(layer):
    block = "a" if layer.block == 1 else f"b{layer.block - 1}"
    place = "conv1" if layer.stage == 1 else f"res{layer.stage}/{block}/{_PARTS[layer.part]}"
    return TrunkArrays(
        kernel=f"extractor/{place}/conv/W",
        bias=None,
        gamma=f"extractor/{place}/bn/gamma",
        beta=f"extractor/{place}/bn/beta",
        mean=f"extractor/{place}/bn/avg_mean",
        variance=f"extractor/{place}/bn/avg_var",
    )


CHAINERCV = DetectorFormat(
    trunk_names=_trunk_names,
    kernel_name=lambda name: f"{name}/W",
    bias_name=lambda name: f"{name}/b",
    rpn_convolution="rpn/conv1",
    rpn_logits="rpn/score",
    rpn_offsets="rpn/loc",
    reduce="head/conv1",
    score_maps="head/cls_seg",
    box_maps="head/ag_loc",
    rpn_logit_order=lambda anchors: np.arange(2 * anchors),
    coordinates=FROM_YXHW,
    # How many batches the statistics of batch normalisation are from.
    is_ignored=lambda name: name.endswith("/bn/N"),
    conventions=lambda classes: {
        "stem_padding": "end",
        "box_target_stds": [0.2, 0.2, 0.5, 0.5],
        "round_anchors": False,
        "round_rois": False,
        "proposals": {"min_size": _MIN_SIZES[classes], "rank_by": "foreground_logit", "whole_cells_only": False},
    },
)
