"""Instance masks cropped to their boxes at a fixed size, and their run lengths.

A crop's pixel (i, j) of M x M says whether the instance covers the centre of that cell of the box.
"""

import numpy as np
import tensorflow as tf
from pycocotools import mask as coco_mask


def crop_masks(masks, boxes, size):
    """Crops masks to their boxes and resamples them to size x size.

    Args:
        masks: [G, H, W] bool or uint8 tensor, masks of whole images.
        boxes: [G, 4] float32 (ymin, xmin, ymax, xmax) in pixels of the image, within it.
        size: M.

    Returns:
        [G, M, M] of masks' type.
    """
    fractions = (tf.range(size, dtype=tf.float32) + 0.5) / size
    positions = boxes[:, :2, None] + fractions * (boxes[:, 2:] - boxes[:, :2])[..., None]
    # A cell's centre lies in the box, but may round up to its far side.
    cells = tf.minimum(tf.cast(positions, tf.int32), tf.shape(masks)[1:][:, None] - 1)
    rows = tf.gather(masks, cells[:, 0], axis=1, batch_dims=1)
    return tf.gather(rows, cells[:, 1], axis=2, batch_dims=1)


def crop_segmentation(segmentation, box, size):
    """Crops a COCO segmentation to a box and resamples it to size x size.

    Polygons are drawn in pixels of the image, as evaluation draws them, and not in the frame of the crop: what a RoI is
    to answer comes from the very mask that its answer is compared with.

    Args:
        segmentation: list of polygons [x, y, x, y, ...], or a compressed run-length encoding.
        box: (ymin, xmin, ymax, xmax) in pixels of the image, within it.
        size: M.

    Returns:
        [M, M] uint8 NumPy array, 0 or 1.
    """
    if isinstance(segmentation, dict):
        return _crop_array(coco_mask.decode(segmentation), box, size)
    # Of the image, only the pixels that the box touches are drawn.
    corner, end = np.floor(box[:2]).astype(int), np.ceil(box[2:]).astype(int)
    polygons = [(np.reshape(polygon, (-1, 2)) - corner[::-1]).ravel().tolist() for polygon in segmentation]
    window = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, *(end - corner).tolist())))
    return _crop_array(window, np.subtract(box, np.tile(corner, 2)), size)


def _crop_array(mask, box, size):
    fractions = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    low, high = np.float32(box[:2])[:, None], np.float32(box[2:])[:, None]
    rows, columns = np.minimum((low + fractions * (high - low)).astype(int), np.array(mask.shape)[:, None] - 1)
    return mask[np.ix_(rows, columns)]


def encode_runs(mask):
    """Encodes a mask as lengths of alternating runs in row-major order, the first of zeros.

    Args:
        mask: NumPy array of 0 and 1.

    Returns:
        1-D NumPy array of an even number of lengths; the first and the last may be 0.
    """
    values = mask.ravel().astype(bool)
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    starts_with_one = [0] if values[0] else []
    ends = np.concatenate([starts_with_one, changes, [mask.size]]).astype(int)
    runs = np.diff(ends, prepend=0)
    return np.append(runs, 0) if len(runs) % 2 else runs


def decode_runs(runs, size):
    """Decodes run lengths of any number of masks, one after the other.

    Args:
        runs: [L] integer tensor, concatenated results of `encode_runs`.
        size: M, the side of each mask.

    Returns:
        [G, M, M] uint8.
    """
    # Each mask has an even number of runs, so that the next one starts with zeros again: a pixel is 1 where the number
    # of runs that end before it is odd. Counting may overflow, which leaves odd numbers odd.
    ends = tf.cumsum(tf.cast(runs, tf.int32))
    total = tf.reduce_sum(tf.cast(runs, tf.int32))
    ends_at = tf.math.unsorted_segment_sum(tf.ones_like(ends, tf.uint8), ends, total + 1)
    values = tf.bitwise.bitwise_and(tf.cumsum(ends_at[:-1]), tf.constant(1, tf.uint8))
    return tf.reshape(values, [-1, size, size])
