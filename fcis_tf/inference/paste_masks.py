"""Masks of boxes, rendered at the resolution of an image, in the graph."""

import tensorflow as tf


def paste_masks(mask_probs, boxes, image_size, binary_threshold):
    """Renders the masks of boxes into an image.

    A mask covers its box; the probability at the centre of every pixel is interpolated bilinearly between the centres
    of the mask's cells, and beyond the outermost centres is that of the nearest cell. Bilinear interpolation is
    separable, so that a rendered mask is a product of three matrices: row weights, mask, column weights. The
    detections are rendered one after the other, since all of them in float32 at once could fill the memory.

    Args:
        mask_probs: [D, P, P] float32 in 0..1, the probability of each cell of the box to be inside the instance.
        boxes: [D, 4] float32 (ymin, xmin, ymax, xmax), half-open, in pixels of the image; they may reach beyond it.
        image_size: (height, width) of the image, integers or a [2] int32 tensor.
        binary_threshold: pixels of greater probability are the instance's.

    Returns:
        [D, height, width] bool. A pixel whose centre is outside its box is False.
    """
    height, width = tf.unstack(tf.convert_to_tensor(image_size, tf.int32))
    cells = tf.shape(mask_probs)[-1]
    row_weights = interpolation_weights(boxes[:, 0], boxes[:, 2], height, cells)
    column_weights = interpolation_weights(boxes[:, 1], boxes[:, 3], width, cells)

    def paste(mask):
        rows, probabilities, columns = mask
        return tf.matmul(rows @ probabilities, columns, transpose_b=True) > binary_threshold

    def paste_all():
        pixels = tf.TensorSpec([None, None], tf.bool)
        return tf.map_fn(paste, (row_weights, mask_probs, column_weights), fn_output_signature=pixels)

    # Without a detection map_fn cannot tell the size of a rendered mask.
    return tf.cond(tf.size(mask_probs) > 0, paste_all, lambda: tf.zeros([0, height, width], tf.bool))


def interpolation_weights(low, high, num_pixels, num_cells):
    """How much each cell of a mask contributes to each pixel along one axis.

    Args:
        low, high: [D] float32, the boxes' edges in pixels.
        num_pixels: int32, the image's extent.
        num_cells: int32, the mask's extent, P.

    Returns:
        [D, num_pixels, P] float32; a row sums to 1, or to 0 where the pixel's centre is outside the box.
    """
    low, high = low[:, None], high[:, None]
    centres = tf.range(num_pixels, dtype=tf.float32) + 0.5
    positions = tf.math.divide_no_nan(centres - low, high - low) * tf.cast(num_cells, tf.float32) - 0.5
    positions = tf.clip_by_value(positions, 0.0, tf.cast(num_cells - 1, tf.float32))
    distances = tf.abs(positions[..., None] - tf.range(num_cells, dtype=tf.float32))
    inside = (low <= centres) & (centres < high)
    return tf.where(inside[..., None], tf.maximum(1.0 - distances, 0.0), 0.0)
