"""Anchors: the boxes that the RPN classifies and moves (Faster R-CNN section 3.1.1)."""

import numpy as np
import tensorflow as tf


def anchor_shapes(scales, ratios, stride, rounded=False):
    """Returns (height, width) of every anchor, [A, 2] float32, ratios varying slowest.

    Args:
        scales: side of a square anchor in units of `stride`.
        ratios: height / width; all anchors of a scale have the same area.
        stride: pixels of the image per cell of the map.
        rounded: whether height and width are whole multiples of the scale, as the authors' code rounds those of scale
            1; the areas then differ a little.
    """
    root = np.sqrt(np.array(ratios))
    heights, widths = stride * root, stride / root
    if rounded:
        widths = np.round(widths)
        heights = np.round(widths * ratios)
    shapes = np.stack([heights, widths], axis=-1)[:, None] * np.reshape(scales, (-1, 1))
    return shapes.reshape(-1, 2).astype(np.float32)


def make_anchors(height, width, scales, ratios, stride, rounded=False):
    """Places every anchor on the centre of every cell of a map.

    Args:
        height, width: of the map in cells, int or int32 scalar.
        scales, ratios, stride, rounded: as `anchor_shapes` takes them.

    Returns:
        [height * width * A, 4] float32 boxes in pixels of the image, the anchor varying fastest, then the column.
    """
    half = anchor_shapes(scales, ratios, stride, rounded) / 2.0
    rows = (tf.range(height, dtype=tf.float32) + 0.5) * stride
    columns = (tf.range(width, dtype=tf.float32) + 0.5) * stride
    centres = tf.stack(tf.meshgrid(rows, columns, indexing="ij"), axis=-1)[:, :, None, :]
    return tf.reshape(tf.concat([centres - half, centres + half], axis=-1), [-1, 4])
