"""A configuration of the smallest network and scenes that show everything."""

import copy

from fcis_tf.config import Config

SCENES = {"format": "digits", "height": 64, "width": 96, "max_digits": 3}
VALUES = {
    "model": {
        "backbone": "resnet18",
        "anchor_scales": [1.0, 2.0],
        "anchor_ratios": [0.5, 1.0, 2.0],
        "rpn_channels": 16,
        "head_channels": 32,
        "group_size": 3,
        "pooled_size": 9,
        "proposals": {"before_nms": 60, "after_nms": 20},
    },
    "data": {
        "train": {**SCENES, "split": "train"},
        "eval": {**SCENES, "split": "eval", "scenes": 2},
        "short_side": 64,
        "long_side": 96,
        "mask_size": 28,
    },
    "training": {
        "steps": 4,
        "images_per_step": 2,
        "learning_rate": {"values": [1e-3], "boundaries": []},
        "rpn_targets": {"anchors_per_image": 32},
        "roi_targets": {"rois_per_image": 8},
    },
}


def tiny_values(**changes):
    """Returns the values with some of them replaced: training={"steps": 3}."""
    return _merged(VALUES, changes)


def tiny_config(**changes):
    """Returns a Config; see `tiny_values`."""
    return Config.model_validate(tiny_values(**changes))


def _merged(values, changes):
    values = copy.deepcopy(values)
    for key, change in changes.items():
        mergeable = isinstance(change, dict) and isinstance(values.get(key), dict)
        values[key] = _merged(values[key], change) if mergeable else change
    return values
