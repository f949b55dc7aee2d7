"""Whether the anchors reach the instances."""

import numpy as np

from fcis_tf.data.anchor_reach import best_anchor_ious, boxes_at_network_scale, network_scales, suggest_anchors
from fcis_tf.data.checks.finding import Finding, level_of

_REACHED = 0.5
_TOLERATED = 0.1
# What is advised reaches many of the instances that nothing reached before.
_WORTHWHILE = 0.8


def check_anchors(content, config):
    """Instances that no anchor overlaps with an IoU of 0.5."""
    network_sees = network_scales(config.data, content.key.removeprefix("data."))
    boxes, sizes, indices = _boxes(content, network_sees)
    scales, ratios, rounded = config.model.anchor_scales, config.model.anchor_ratios, config.model.round_anchors
    unreached = best_anchor_ious(boxes, sizes, scales, ratios, rounded) < _REACHED
    if not unreached.any() or unreached.mean() < _TOLERATED:
        return
    sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
    low, middle, high = np.quantile(sides[unreached], (0.05, 0.5, 0.95))
    counted = f", each counted at all {len(network_sees)} data.train_scales," if len(network_sees) > 1 else ""
    yield Finding(
        level_of(unreached.sum(), len(unreached)),
        f"{unreached.sum()} of {len(unreached)} instances{counted} reach no IoU of {_REACHED} with any anchor of "
        f"model.anchor_scales {_plain(scales)} and anchor_ratios {_plain(ratios)}; at the network's scale these have "
        f"sides of about {middle:.0f} pixels ({low:.0f} to {high:.0f})",
        _advice(boxes, sizes, config, content.key),
        content.describe(int(indices[np.argmax(unreached)])),
    )


def _boxes(content, scales):
    """Returns boxes and image sizes at all the network's scales, and the positions of their annotations.

    Masks tell the box where there are any: what is wrong with the boxes themselves is another finding.
    """
    x, y, width, height = content.boxes.T
    boxes = np.stack([x, y, x + width, y + height], axis=1)
    boxes = np.where(np.isfinite(content.mask_boxes), content.mask_boxes, boxes)[:, [1, 0, 3, 2]]
    sizes = content.sizes_of_annotations
    boxes = np.clip(boxes, 0, np.tile(sizes, 2))
    usable = (boxes[:, :2] < boxes[:, 2:]).all(axis=1) & (sizes >= 1).all(axis=1)
    usable &= ~content.is_normalised.any(axis=1) & ~content.is_crowd
    indices = np.tile(np.flatnonzero(usable), len(scales))
    return *boxes_at_network_scale(boxes[usable], sizes[usable], scales), indices


def _advice(boxes, sizes, config, key):
    model = config.model
    anchors = model.anchor_scales, model.anchor_ratios, model.round_anchors
    before = np.mean(best_anchor_ious(boxes, sizes, *anchors) < _REACHED)
    scales, ratios, left_over = suggest_anchors(boxes, sizes, *anchors, _REACHED)
    larger = np.mean(best_anchor_ious(2 * boxes, 2 * sizes, scales, ratios, model.round_anchors) < _REACHED)
    advice = []
    if left_over < _WORTHWHILE * before:
        advice.append(f"model.anchor_scales: {_plain(scales)} and model.anchor_ratios: {_plain(ratios)}")
    if left_over >= _TOLERATED and larger < _WORTHWHILE * left_over:
        advice.append(f"larger images, {_larger(config.data, key)}")
        left_over = larger
    if not advice:
        return "No common anchors or scales reach these shapes; the RPN learns them from the nearest anchor only"
    return f"Set {', and '.join(advice)}: that would leave {100 * left_over:.0f} % unreached"


def _larger(data, key):
    sides = f"data.short_side: {2 * data.short_side} and data.long_side: {2 * data.long_side}"
    if key == "data.train" and data.train_scales:
        sides += f", data.train_scales: {_plain([2 * side for side in data.train_scales])}"
    return sides


def _plain(values):
    return "[" + ", ".join(f"{value:g}" for value in values) + "]"
