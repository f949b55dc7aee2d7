"""To be deleted when fcis_tf.ops has these."""

import contextlib

import tensorflow as tf

from fcis_tf.boxes import tight_boxes
from fcis_tf.inference.render_masks import render_masks
from fcis_tf.ops import position_sensitive


@contextlib.contextmanager
def use_implementation(implementation):
    saved = position_sensitive._operators
    position_sensitive._operators = lambda _: saved(implementation)
    try:
        yield
    finally:
        position_sensitive._operators = saved


def render_box_masks(
    roi_masks, rois, votes, image_size, mask_size, *, binary_threshold, threshold_first=False, implementation=None
):
    masks = render_masks(roi_masks, rois, votes, image_size, binary_threshold, threshold_first)
    kept = tf.reduce_any(masks, axis=[1, 2])
    boxes = tf.where(kept[:, None], tight_boxes(masks), 0.0)

    def shrink(args):
        mask, box = args
        box = tf.cast(box, tf.float32)

        def weights(low, high, size):
            edges = low + (high - low) * tf.range(mask_size + 1, dtype=tf.float32) / mask_size
            pixels = tf.range(size, dtype=tf.float32)
            overlap = tf.minimum(edges[1:, None], pixels + 1) - tf.maximum(edges[:-1, None], pixels)
            return tf.maximum(overlap, 0.0) * mask_size / tf.maximum(high - low, 1e-6)

        size = tf.shape(mask)
        rows, columns = weights(box[0], box[2], size[0]), weights(box[1], box[3], size[1])
        return tf.matmul(rows @ tf.cast(mask, tf.float32), columns, transpose_b=True)

    return boxes, tf.map_fn(shrink, (masks, boxes), fn_output_signature=tf.TensorSpec([mask_size, mask_size]))
