"""Anchors: the boxes that the RPN classifies and moves (Faster R-CNN section 3.1.1)."""

import numpy as np
import tensorflow as tf


def anchor_shapes(scales, ratios, stride):
    """Returns (height, width) of every anchor, [A, 2] float32, ratios varying slowest.

    Args:
        scales: side of a square anchor in units of `stride`.
        ratios: height / width; all anchors of a scale have the same area.
        stride: pixels of the image per cell of the map.
    """
    side = np.array(scales) * stride
    root = np.sqrt(np.array(ratios))[:, None]
    return np.stack([side * root, side / root], axis=-1).reshape(-1, 2).astype(np.float32)


def make_anchors(height, width, scales, ratios, stride):
    """Places every anchor on the centre of every cell of a map.

    Args:
        height, width: of the map in cells, int or int32 scalar.

    Returns:
        [height * width * A, 4] float32 boxes in pixels of the image, the anchor varying fastest, then the column.
    """
    half = anchor_shapes(scales, ratios, stride) / 2.0
    rows = (tf.range(height, dtype=tf.float32) + 0.5) * stride
    columns = (tf.range(width, dtype=tf.float32) + 0.5) * stride
    centres = tf.stack(tf.meshgrid(rows, columns, indexing="ij"), axis=-1)[:, :, None, :]
    return tf.reshape(tf.concat([centres - half, centres + half], axis=-1), [-1, 4])
