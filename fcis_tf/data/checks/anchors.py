"""Whether the anchors reach the instances."""

import numpy as np

from fcis_tf.data.anchor_reach import best_anchor_ious, boxes_at_network_scale, suggest_anchors
from fcis_tf.data.checks.finding import Finding, level_of

_REACHED = 0.5
_TOLERATED = 0.1
# What is advised reaches many of the instances that nothing reached before.
_WORTHWHILE = 0.8


def check_anchors(content, config):
    """Instances that no anchor overlaps with an IoU of 0.5."""
    boxes, sizes, indices = _boxes(content, config)
    scales, ratios = config.model.anchor_scales, config.model.anchor_ratios
    unreached = best_anchor_ious(boxes, sizes, scales, ratios) < _REACHED
    if not unreached.any() or unreached.mean() < _TOLERATED:
        return
    sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
    low, middle, high = np.quantile(sides[unreached], (0.05, 0.5, 0.95))
    yield Finding(
        level_of(unreached.sum(), len(unreached)),
        f"{unreached.sum()} of {len(unreached)} instances reach no IoU of {_REACHED} with any anchor of "
        f"model.anchor_scales {_plain(scales)} and anchor_ratios {_plain(ratios)}; at the network's scale these have "
        f"sides of about {middle:.0f} pixels ({low:.0f} to {high:.0f})",
        _advice(boxes, sizes, config),
        content.describe(int(indices[np.argmax(unreached)])),
    )


def _boxes(content, config):
    """Returns boxes and image sizes at the network's scale, and the positions of their annotations.

    Masks tell the box where there are any: what is wrong with the boxes themselves is another finding.
    """
    x, y, width, height = content.boxes.T
    boxes = np.stack([x, y, x + width, y + height], axis=1)
    boxes = np.where(np.isfinite(content.mask_boxes), content.mask_boxes, boxes)[:, [1, 0, 3, 2]]
    sizes = content.sizes_of_annotations
    boxes = np.clip(boxes, 0, np.tile(sizes, 2))
    usable = (boxes[:, :2] < boxes[:, 2:]).all(axis=1) & (sizes >= 1).all(axis=1)
    usable &= ~content.is_normalised.any(axis=1) & ~content.is_crowd
    return *boxes_at_network_scale(boxes[usable], sizes[usable], config.data), np.flatnonzero(usable)


def _advice(boxes, sizes, config):
    model, data = config.model, config.data
    before = np.mean(best_anchor_ious(boxes, sizes, model.anchor_scales, model.anchor_ratios) < _REACHED)
    scales, ratios, left_over = suggest_anchors(boxes, sizes, model.anchor_scales, model.anchor_ratios, _REACHED)
    larger = np.mean(best_anchor_ious(2 * boxes, 2 * sizes, scales, ratios) < _REACHED)
    advice = []
    if left_over < _WORTHWHILE * before:
        advice.append(f"model.anchor_scales: {_plain(scales)} and model.anchor_ratios: {_plain(ratios)}")
    if left_over >= _TOLERATED and larger < _WORTHWHILE * left_over:
        advice.append(f"larger images, data.short_side: {2 * data.short_side} and data.long_side: {2 * data.long_side}")
        left_over = larger
    if not advice:
        return "No common anchors or scales reach these shapes; the RPN learns them from the nearest anchor only"
    return f"Set {', and '.join(advice)}: that would leave {100 * left_over:.0f} % unreached"


def _plain(values):
    return "[" + ", ".join(f"{value:g}" for value in values) + "]"
