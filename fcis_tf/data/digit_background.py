"""Cluttered backgrounds for digit scenes: gradients, smooth noise and shapes that are no digits."""

import numpy as np
import tensorflow as tf

from fcis_tf.data.colors import draw_colors
from fcis_tf.data.layers import paint_over, place_templates

_SHAPES = 12
_TEMPLATE_SIZE = 32


def draw_background(seed, canvas_size, luminances):
    """Draws a background at half resolution and enlarges it, which is cheap and looks out of focus.

    Args:
        seed: [2] int64.
        canvas_size: (height, width) in pixels.
        luminances: (low, high), the range which the colours' luminances are drawn from, tensors or floats.

    Returns:
        [height, width, 3] float32 RGB, about 0 to 1.
    """
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 4), num=4)
    size = [(side + 1) // 2 for side in canvas_size]
    canvas = _gradient(seeds[0], size, draw_colors(2, seeds[1], luminances)) + _smooth_noise(seeds[2], size)
    canvas = _add_shapes(canvas, seeds[3], size, luminances)
    return tf.image.resize(canvas, canvas_size)


def _gradient(seed, size, colors):
    angle = tf.random.stateless_uniform([], seed, 0, 2 * np.pi)
    y, x = tf.linspace(-0.5, 0.5, size[0])[:, None], tf.linspace(-0.5, 0.5, size[1])
    position = tf.cast(tf.sin(angle) * y + tf.cos(angle) * x, tf.float32)[..., None] + 0.5
    return colors[0] + tf.clip_by_value(position, 0, 1) * (colors[1] - colors[0])


def _smooth_noise(seed, size):
    return tf.image.resize(tf.random.stateless_normal([6, 8, 3], seed, stddev=0.06), size)


def _add_shapes(canvas, seed, size, luminances):
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 4), num=4)
    chosen = tf.random.stateless_uniform([_SHAPES], seeds[0], 0, len(_TEMPLATES), tf.int32)
    centers = tf.random.stateless_uniform([_SHAPES, 2], seeds[1]) * tf.constant(size, tf.float32)
    scales = tf.exp(tf.random.stateless_uniform([_SHAPES, 2], seeds[2], np.log(0.2), np.log(1.5)))
    levels = place_templates(tf.gather(_TEMPLATES, chosen), centers, scales, size)
    return paint_over(canvas, levels, draw_colors(_SHAPES, seeds[3], luminances), threshold=0.5)


def _make_templates():
    """[S, T, T] float32: smooth shapes, the outline at level 0.5."""
    y, x = np.mgrid[-1:1:_TEMPLATE_SIZE * 1j, -1:1:_TEMPLATE_SIZE * 1j]
    radius, sides = np.hypot(y, x), np.maximum(abs(y), abs(x))
    crescent = np.maximum(radius - 0.75, 0.7 - np.hypot(y, x - 0.4))
    ring_part = np.maximum(abs(radius - 0.6) - 0.12, y - 0.1)
    triangle = np.maximum(y - 0.6, abs(x) * 2 - y - 0.9)
    plus = np.maximum(np.minimum(abs(x), abs(y)) - 0.18, sides - 0.75)
    star = radius - 0.5 - 0.25 * np.cos(5 * np.arctan2(y, x))
    slash = np.maximum(abs(x + y) - 0.2, sides - 0.75)
    wave = np.maximum(abs(y - 0.3 * np.sin(4 * x)) - 0.15, abs(x) - 0.8)
    distances = [radius - 0.75, sides - 0.65, crescent, ring_part, triangle, plus, star, slash, slash[:, ::-1], wave]
    return np.clip(0.5 - 4 * np.stack(distances), 0, 1).astype(np.float32)


_TEMPLATES = _make_templates()
