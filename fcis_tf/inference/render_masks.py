"""Masks of detections, rendered at the resolution of an image, in the graph."""

import tensorflow as tf


def render_masks(roi_masks, rois, votes, image_size, binary_threshold, threshold_first=False):
    """Renders the masks that regions of interest vote for (FCIS section 3.4).

    The mask of a region covers its box; its probability at the centre of a pixel is interpolated bilinearly between the
    centres of the mask's cells, beyond the outermost centres is that of the nearest cell, and outside the box is 0. A
    detection's probability at a pixel is the weighted mean of all regions' that vote for it; so an instance can reach
    beyond the box of a region that cuts it off. Only the pixels of the box around a detection's voters are computed.

    Bilinear interpolation is separable: a rendered mask is a product of three matrices, row weights, mask and column
    weights. Side by side, the products of all voters are one. The detections are rendered one after the other, since
    all of them in float32 at once could fill the memory.

    Args:
        roi_masks: [R, P, P] float32 in 0..1, the probability of each cell of the region to be inside the instance.
        rois: [R, 4] float32 (ymin, xmin, ymax, xmax), half-open, in pixels of the image; they may reach beyond it.
        votes: [D, R] float32, the weight of each region for each detection; a row sums to 1.
        image_size: (height, width) of the image, integers or a [2] int32 tensor.
        binary_threshold: pixels of greater probability are the instance's.
        threshold_first: whether it is done as in the authors' code: boxes are rounded to whole pixels, and not only the
            mean but each region's mask is compared with the threshold.

    Returns:
        [D, height, width] bool.
    """
    roi_masks, rois, votes = (tf.convert_to_tensor(x, tf.float32) for x in (roi_masks, rois, votes))
    image_size = tf.convert_to_tensor(image_size, tf.int32)
    cells = tf.shape(roi_masks)[-1]
    rois = tf.where(threshold_first, tf.round(rois), rois)

    def render(weights):
        voters = tf.where(weights > 0)[:, 0]
        weights, boxes, masks = (tf.gather(x, voters) for x in (weights, rois, roi_masks))
        begin, end = _pixels_around(boxes, image_size)
        boxes -= tf.tile(tf.cast(begin, tf.float32), [2])
        size = end - begin
        rows = interpolation_weights(boxes[:, 0], boxes[:, 2], size[0], cells)
        columns = interpolation_weights(boxes[:, 1], boxes[:, 3], size[1], cells)

        def mean_of_thresholded():
            each = tf.matmul(rows @ masks, columns, transpose_b=True) > binary_threshold
            return tf.tensordot(weights, tf.cast(each, tf.float32), 1)

        def mean_of_probabilities():
            # [height, V * P] by [V * P, width]
            left = tf.transpose(rows @ (weights[:, None, None] * masks), [1, 0, 2])
            right = tf.transpose(columns, [0, 2, 1])
            length = tf.size(weights) * cells
            return tf.reshape(left, [size[0], length]) @ tf.reshape(right, [length, size[1]])

        mean = tf.cond(tf.convert_to_tensor(threshold_first), mean_of_thresholded, mean_of_probabilities)
        return tf.pad(mean > binary_threshold, tf.stack([begin, image_size - end], axis=1))

    # Without a detection map_fn cannot tell the size of a rendered mask.
    return tf.cond(
        tf.shape(votes)[0] > 0,
        lambda: tf.map_fn(render, votes, fn_output_signature=tf.TensorSpec([None, None], tf.bool)),
        lambda: tf.zeros([0, image_size[0], image_size[1]], tf.bool),
    )


def _pixels_around(boxes, image_size):
    """Returns (begin, end), [2] int32 each (y, x): the pixels of an image around boxes [V, 4]; none for V = 0."""
    limits = tf.cast(image_size, tf.float32)
    low = tf.clip_by_value(tf.floor(tf.reduce_min(boxes[:, :2], axis=0)), 0.0, limits)
    high = tf.clip_by_value(tf.math.ceil(tf.reduce_max(boxes[:, 2:], axis=0)), 0.0, limits)
    return tf.cast(low, tf.int32), tf.cast(tf.maximum(low, high), tf.int32)


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
