"""Renders scenes of handwritten digits that overlap over clutter."""

import tensorflow as tf

from fcis_tf.data.colors import draw_colors
from fcis_tf.data.digit_background import draw_background
from fcis_tf.data.digit_glyphs import INK_THRESHOLD
from fcis_tf.data.digit_layout import draw_layout
from fcis_tf.data.layers import paint_over, place_templates, visible_parts

# Side of an upright-to-rotated glyph, and the part of it that the longer side of the ink takes:
# turned by 15 degrees, a square of 38 pixels still fits.
_TEMPLATE_SIZE = 48
_INK_SIZE = 38

# Luminances (low, high) of the background with its clutter, and of the digits before it.
_BACKGROUND = (0.03, 0.25)
_DIGITS = (0.4, 0.85)

# A digit of which less than this is seen is marked as a crowd: neither to be found nor to be missed.
_LEAST_VISIBLE_FRACTION = 0.25
_LEAST_VISIBLE_PIXELS = 40


def render_scene(glyphs, seed, canvas_size, max_digits):
    """Renders one scene, a pure function of its arguments.

    Args:
        glyphs: Glyphs to draw the digits from.
        seed: [2] int64.
        canvas_size: (height, width) in pixels, Python ints.
        max_digits: the most digits in the scene.

    Returns:
        image: [H, W, 3] uint8 RGB.
        masks: [G, H, W] bool, the visible pixels of each digit, at least one each and none shared.
        classes: [G] int32, 1 to C.
        is_crowd: [G] bool, for digits that are hidden but for a small rest.
    """
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 4), num=4)
    layout = draw_layout(glyphs, seeds[0], canvas_size, max_digits)
    levels = _digit_levels(glyphs, layout, canvas_size)
    image = _paint(levels, seeds[1:], canvas_size)
    covers = levels >= INK_THRESHOLD
    masks = visible_parts(covers)
    areas, visible = _count_pixels(covers), _count_pixels(masks)
    is_crowd = (visible < _LEAST_VISIBLE_FRACTION * areas) | (visible < _LEAST_VISIBLE_PIXELS)
    seen = visible > 0
    return image, tf.boolean_mask(masks, seen), layout.classes[seen], is_crowd[seen]


def _digit_levels(glyphs, layout, canvas_size):
    """[n, H, W] float32: each digit's ink, 0 to 1, at its place in the scene."""
    upright = tf.cast(tf.gather(glyphs.ink, layout.samples), tf.float32) / 255
    boxes = tf.gather(glyphs.boxes, layout.samples)
    templates = tf.raw_ops.ImageProjectiveTransformV3(
        images=upright[..., None],
        transforms=_rotations(boxes, layout.angles),
        output_shape=[_TEMPLATE_SIZE, _TEMPLATE_SIZE],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    templates = tf.ensure_shape(templates[..., 0], [None, _TEMPLATE_SIZE, _TEMPLATE_SIZE])
    scales = tf.tile(layout.sizes[:, None] / _INK_SIZE, [1, 2])
    return place_templates(templates, layout.centers, scales, canvas_size)


def _rotations(boxes, angles):
    """Transforms from a template's pixels to a glyph's: the ink rotated, centred and brought to one size.

    Args:
        boxes: [n, 4] float32, the ink's tight boxes in pixels of the glyphs.
        angles: [n] float32, in radians.

    Returns:
        [n, 8] float32 as ImageProjectiveTransformV3 takes them.
    """
    scale = tf.reduce_max(boxes[:, 2:] - boxes[:, :2], axis=1) / _INK_SIZE
    cosine, sine = tf.cos(angles) * scale, tf.sin(angles) * scale
    # Pixel centres have integer coordinates there.
    center = (boxes[:, :2] + boxes[:, 2:]) / 2 - 0.5
    middle = (_TEMPLATE_SIZE - 1) / 2
    x_shift = center[:, 1] - middle * (cosine - sine)
    y_shift = center[:, 0] - middle * (sine + cosine)
    zero = tf.zeros_like(scale)
    return tf.stack([cosine, -sine, x_shift, sine, cosine, y_shift, zero, zero], axis=1)


def _paint(levels, seeds, canvas_size):
    canvas = draw_background(seeds[0], canvas_size, _BACKGROUND)
    colors = draw_colors(tf.shape(levels)[0], seeds[1], _DIGITS)
    canvas = paint_over(canvas, levels, colors, INK_THRESHOLD)
    grain = tf.random.stateless_uniform([*canvas_size, 1], seeds[2], -0.03, 0.03)
    return tf.cast(tf.clip_by_value((canvas + grain) * 255, 0, 255), tf.uint8)


def _count_pixels(masks):
    return tf.reduce_sum(tf.cast(masks, tf.float32), axis=(1, 2))
