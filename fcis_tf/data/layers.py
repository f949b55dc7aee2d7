"""Drawing shapes onto a canvas: resampling templates to their place, and laying them over each other."""

import tensorflow as tf


def place_templates(templates, centers, scales, canvas_size):
    """Resamples each template bilinearly to its place on an empty canvas.

    Scaling without rotation is separable, so each canvas is a product of two interpolation matrices with
    the template: an order of magnitude cheaper than a general image warp of canvas size.

    Args:
        templates: [L, T, T] float32.
        centers: [L, 2] float32 (y, x), where the template's centre goes, in pixels of the canvas.
        scales: [L, 2] float32 (y, x), canvas pixels per template pixel.
        canvas_size: (height, width) in pixels.

    Returns:
        [L, height, width] float32, 0 outside of the template.
    """
    side = templates.shape[1]
    rows = _interpolation_matrix(canvas_size[0], side, centers[:, 0], scales[:, 0])
    columns = _interpolation_matrix(canvas_size[1], side, centers[:, 1], scales[:, 1])
    return tf.matmul(tf.matmul(rows, templates), columns, transpose_b=True)


def _interpolation_matrix(length, side, centers, scales):
    """[L, length, side]: how much of each template pixel a canvas pixel takes along one axis."""
    pixel_centers = tf.range(length, dtype=tf.float32) + 0.5
    positions = (pixel_centers - centers[:, None]) / scales[:, None] + side / 2 - 0.5
    return tf.nn.relu(1 - tf.abs(positions[..., None] - tf.range(side, dtype=tf.float32)))


def paint_over(canvas, levels, colors, threshold, softness=0.06):
    """Paints shapes over a canvas, the later over the earlier.

    Colours are shaded towards the outline, which keeps touching shapes apart to the eye.

    Args:
        canvas: [H, W, 3] float32 RGB, 0 to 1.
        levels: [L, H, W] float32, a shape's level at each pixel; its outline is where it equals `threshold`.
        colors: [L, 3] float32 RGB, 0 to 1.
        threshold: the level of the outline.
        softness: how far from the threshold, in levels, the shape blends with the canvas.

    Returns:
        [H, W, 3] float32.
    """
    heights = tf.range(1, tf.shape(levels)[0] + 1, dtype=tf.int32)[:, None, None]
    top = tf.reduce_max(tf.where(levels > threshold - softness, heights, 0), axis=0)
    level = tf.reduce_max(tf.where(heights == top, levels, 0.0), axis=0)
    opacity = tf.clip_by_value((level - threshold) / (2 * softness) + 0.5, 0, 1)
    shade = 0.6 + 0.4 * tf.clip_by_value((level - threshold) / 0.3, 0, 1)
    paint = tf.gather(tf.pad(colors, [[1, 0], [0, 0]]), top) * shade[..., None]
    return canvas + opacity[..., None] * (paint - canvas)


def visible_parts(covers):
    """Cuts from each shape what later shapes hide.

    Args:
        covers: [L, H, W] bool, where each shape is, bottom first.

    Returns:
        [L, H, W] bool, where each shape is seen; no two of these overlap.
    """
    heights = tf.range(1, tf.shape(covers)[0] + 1, dtype=tf.int32)[:, None, None]
    top = tf.reduce_max(tf.where(covers, heights, 0), axis=0)
    return heights == top
