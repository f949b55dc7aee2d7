"""How well the anchors can cover a data set's boxes: an instance that no anchor comes near is hardly ever proposed."""

import numpy as np
import tensorflow as tf

from fcis_tf.data.pipeline import training_scales
from fcis_tf.data.preparation import resized_size
from fcis_tf.models.anchors import anchor_shapes
from fcis_tf.models.fcis import STRIDE

# What anchors may be made of when others are looked for: sides of 8 to 1024 pixels, and long and upright shapes.
_SCALES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_RATIOS = (0.25, 0.33, 0.5, 1.0, 2.0, 3.0, 4.0)

# A further scale or ratio costs time at every cell of the map: it must bring this part of all boxes.
_WORTHWHILE = 0.02
# Enough boxes to choose anchors by.
_SAMPLE = 20_000
# Boxes at a time, so that the pairs with a dozen anchors stay in the processor's cache.
_CHUNK = 4096


def network_scales(data_config, split):
    """Returns the scales, a list of (short side, long side), at which the network sees the images of a split.

    Args:
        data_config: DataConfig.
        split: "train" or "eval".
    """
    return training_scales(data_config) if split == "train" else [(data_config.short_side, data_config.long_side)]


def boxes_at_network_scale(boxes, sizes, scales):
    """Brings boxes to the scales at which the network sees their images.

    Args:
        boxes: [G, 4] (ymin, xmin, ymax, xmax) in pixels of the images as stored.
        sizes: [G, 2] (height, width) of the image that each box is in, whole numbers from 1.
        scales: S scales of `network_scales`.

    Returns:
        boxes [S * G, 4] float64 and sizes [S * G, 2] int32, in pixels of the resized images: all boxes at the first
        scale, then all at the next one.
    """
    sizes = np.reshape(sizes, (-1, 2)).astype(np.int32)
    if not len(sizes):
        return boxes, sizes
    distinct, which = np.unique(sizes, axis=0, return_inverse=True)
    resized = [
        tf.vectorized_map(lambda size, scale=scale: resized_size(size, *scale), tf.constant(distinct)).numpy()
        for scale in scales
    ]
    resized = np.concatenate([of_distinct[np.ravel(which)] for of_distinct in resized])
    boxes, sizes = (np.tile(values, (len(scales), 1)) for values in (boxes, sizes))
    return boxes * np.tile(resized / sizes, 2), resized


def best_anchor_ious(boxes, sizes, scales, ratios, rounded=False):
    """Finds for each box the highest IoU with any anchor that the RPN learns from.

    These are the anchors within the image (`fcis_tf.losses.anchor_targets`). They sit on a regular grid, and how much
    of a box an anchor shares falls with its distance from the box along either axis: the best one of a shape is at the
    grid's nearest position along both, and no others need to be looked at.

    Args:
        boxes: [G, 4] (ymin, xmin, ymax, xmax) in pixels of the resized images.
        sizes: [G, 2] (height, width) of the resized image that each box is in.
        scales, ratios, rounded: as `anchor_shapes` takes them.

    Returns:
        [G] float64, 0 where no anchor is within the image.
    """
    boxes, sizes = np.reshape(boxes, (-1, 4)).astype(np.float64), np.reshape(sizes, (-1, 2))
    shapes = anchor_shapes(scales, ratios, STRIDE, rounded).astype(np.float64)
    chunks = [slice(start, start + _CHUNK) for start in range(0, len(boxes), _CHUNK)]
    return np.concatenate([np.zeros(0), *(_best_ious(boxes[c], sizes[c], shapes) for c in chunks)])


def suggest_anchors(boxes, sizes, scales, ratios, rounded=False, iou=0.5):
    """Extends scales and ratios, one at a time, as long as that makes anchors reach many more boxes.

    Args:
        boxes, sizes, scales, ratios, rounded: as `best_anchor_ious` takes them.
        iou: from which overlap on an anchor reaches a box.

    Returns:
        scales, ratios: ascending tuples that contain the given ones.
        unreached: the fraction of the boxes that these do not reach.
    """
    chosen = np.random.default_rng(0).permutation(len(boxes))[:_SAMPLE]
    boxes, sizes = boxes[chosen], sizes[chosen]

    def unreached(anchors):
        return float(np.mean(best_anchor_ious(boxes, sizes, *anchors, rounded) < iou))

    best, lowest = (tuple(sorted(scales)), tuple(sorted(ratios))), unreached((scales, ratios))
    while True:
        extended = [(_with(best[0], scale), best[1]) for scale in _SCALES if scale not in best[0]]
        extended += [(best[0], _with(best[1], ratio)) for ratio in _RATIOS if ratio not in best[1]]
        left_over = [unreached(anchors) for anchors in extended]
        if not extended or min(left_over) > lowest - _WORTHWHILE:
            return *best, lowest
        lowest = min(left_over)
        best = extended[left_over.index(lowest)]


def _best_ious(boxes, sizes, shapes):
    low, high, limit = boxes[:, None, :2], boxes[:, None, 2:], sizes[:, None]
    # Positions of the grid, at (position + 0.5) * STRIDE, whose anchors are within the image.
    first = np.ceil(shapes / 2 / STRIDE - 0.5)
    last = np.floor((limit - shapes / 2) / STRIDE - 0.5)
    nearest = np.clip(np.round((low + high) / 2 / STRIDE - 0.5), first, last)
    centres = (nearest + 0.5) * STRIDE
    shared = np.minimum(centres + shapes / 2, high) - np.maximum(centres - shapes / 2, low)
    shared = np.where(first <= last, np.maximum(shared, 0), 0).prod(axis=2)
    union = shapes.prod(axis=1) + (high - low).prod(axis=2) - shared
    return (shared / union).max(axis=1, initial=0)


def _with(values, value):
    return tuple(sorted((*values, value)))
