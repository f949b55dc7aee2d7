"""Arithmetic of boxes: (ymin, xmin, ymax, xmax) in pixels, half-open, float32."""

import math

import tensorflow as tf

# A box may grow by this factor's logarithm at most; an untrained network then cannot overflow.
MAX_LOG_SCALE = math.log(1000.0 / 16.0)


def area(boxes):
    """Returns the areas [...] of boxes [..., 4], 0 for inverted ones."""
    size = tf.maximum(boxes[..., 2:] - boxes[..., :2], 0.0)
    return size[..., 0] * size[..., 1]


def intersection(boxes, others):
    """Returns the intersection areas [..., A, B] of boxes [..., A, 4] with boxes [..., B, 4]."""
    boxes, others = (tf.unstack(x, axis=-1) for x in (boxes[..., :, None, :], others[..., None, :, :]))

    # One axis after the other: TensorFlow is slow on pairs as an innermost dimension.
    def overlap(low, high):
        return tf.maximum(tf.minimum(boxes[high], others[high]) - tf.maximum(boxes[low], others[low]), 0.0)

    return overlap(0, 2) * overlap(1, 3)


def iou(boxes, others):
    """Returns the intersections over unions [..., A, B] of boxes [..., A, 4] with boxes [..., B, 4]."""
    overlap = intersection(boxes, others)
    union = area(boxes)[..., :, None] + area(others)[..., None, :] - overlap
    return tf.math.divide_no_nan(overlap, union)


def covered_fraction(boxes, others):
    """Returns which fractions [..., A, B] of boxes [..., A, 4] lie within boxes [..., B, 4]."""
    return tf.math.divide_no_nan(intersection(boxes, others), area(boxes)[..., :, None])


def encode(boxes, references):
    """Returns the offsets [..., 4] that `decode` turns into `boxes` (R-CNN appendix C).

    Args:
        boxes, references: [..., 4] of positive height and width.

    Returns:
        (dy, dx, dh, dw): shift of the centre in units of the reference's size, logarithm of the relative size.
    """
    size, reference_size = boxes[..., 2:] - boxes[..., :2], references[..., 2:] - references[..., :2]
    centre, reference_centre = boxes[..., :2] + size / 2.0, references[..., :2] + reference_size / 2.0
    return tf.concat([(centre - reference_centre) / reference_size, tf.math.log(size / reference_size)], axis=-1)


def decode(offsets, references):
    """Returns the boxes [..., 4] that offsets (dy, dx, dh, dw) [..., 4] make of reference boxes [..., 4]."""
    reference_size = references[..., 2:] - references[..., :2]
    centre = references[..., :2] + reference_size * (0.5 + offsets[..., :2])
    half_size = reference_size * tf.exp(tf.minimum(offsets[..., 2:], MAX_LOG_SCALE)) / 2.0
    return tf.concat([centre - half_size, centre + half_size], axis=-1)


def clip(boxes, image_sizes):
    """Returns boxes [N, B, 4] clipped to images of size (height, width) [N, 2]."""
    limits = tf.tile(tf.cast(image_sizes, boxes.dtype), [1, 2])[:, None, :]
    return tf.clip_by_value(boxes, 0.0, limits)


def tight_boxes(masks):
    """Returns the smallest boxes [D, 4], half-open, around masks [D, H, W] bool of at least one pixel each."""
    ymin, ymax = _extent(tf.reduce_any(masks, axis=2))
    xmin, xmax = _extent(tf.reduce_any(masks, axis=1))
    return tf.cast(tf.stack([ymin, xmin, ymax, xmax], axis=1), tf.float32)


def _extent(occupied):
    """Returns the index of the first True of each row of [D, L] bool, and that after the last."""
    positions = tf.range(tf.shape(occupied)[1])
    first = tf.reduce_min(tf.where(occupied, positions, tf.int32.max), axis=1)
    last = tf.reduce_max(tf.where(occupied, positions, -1), axis=1)
    return first, last + 1
