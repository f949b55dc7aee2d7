"""Detections without a pixel are no instances."""

import tensorflow as tf


def leave_out_empty(boxes, *values):
    """Leaves out the detections whose masks are empty, such as those smaller than a pixel.

    Args:
        boxes: [D, 4] float32, tight around the masks, zeros where a mask is empty.
        values: [D, ...] each, what else there is of the detections.

    Returns:
        The boxes and the values of the others.
    """
    kept = boxes[:, 2] > 0
    everything = [boxes, *values]
    # Seldom is there an empty one, and copying masks takes longer than rendering them.
    return tf.cond(
        tf.reduce_all(kept), lambda: everything, lambda: [tf.boolean_mask(value, kept) for value in everything]
    )
