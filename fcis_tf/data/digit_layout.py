"""Which digits a scene holds, and where they lie."""

import math
from typing import NamedTuple

import tensorflow as tf

# Longer side of a digit in pixels, uniform between these.
SMALLEST, LARGEST = 24, 120

_MAX_ANGLE = math.radians(15)
# How often a digit lies against the one before it, and how often it is of the same class besides.
_NEIGHBOR_PROBABILITY = 0.65
_REPEAT_PROBABILITY = 0.4
# How deep a digit may reach into its predecessor's box, as a part of its own side.
_MAX_DEPTH = 0.4
# How much of the smaller box two digits' boxes may share without cost.
_TOLERATED_OVERLAP = 0.35
_CANDIDATES = 16


class Layout(NamedTuple):
    """The n digits of a scene, from the bottom one to the top one.

    Attributes:
        samples: [n] int32, rows of the glyphs.
        classes: [n] int32, 1 to 10.
        sizes: [n] float32, longer side of the upright ink in pixels.
        angles: [n] float32, in radians.
        centers: [n, 2] float32 (y, x), in pixels of the scene.
    """

    samples: tf.Tensor
    classes: tf.Tensor
    sizes: tf.Tensor
    angles: tf.Tensor
    centers: tf.Tensor


def draw_layout(glyphs, seed, canvas_size, max_digits):
    """Draws a scene's digits: how many, which, how large and where.

    Larger digits lie below smaller ones, so that few are hidden as a whole.

    Args:
        glyphs: Glyphs to draw from.
        seed: [2] int64.
        canvas_size: (height, width) in pixels.
        max_digits: the most digits a scene has.

    Returns:
        Layout of 2 to max_digits digits (1 when that is the most).
    """
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 7), num=7)
    count = tf.random.stateless_uniform([], seeds[0], min(2, max_digits), max_digits + 1, tf.int32)
    bond = tf.random.stateless_uniform([count], seeds[1])
    # Digits of one group are of one class.
    groups = tf.cumsum(tf.cast(bond >= _REPEAT_PROBABILITY, tf.int32))
    classes = glyphs.counts.shape[0]
    digits = tf.gather(tf.random.stateless_uniform([max_digits + 1], seeds[2], 0, classes, tf.int32), groups)
    chosen = tf.random.stateless_uniform([count], seeds[3]) * tf.cast(tf.gather(glyphs.counts, digits), tf.float32)
    samples = tf.gather(glyphs.starts, digits) + tf.cast(chosen, tf.int32)
    sizes = _draw_sizes(count, seeds[4], canvas_size)
    angles = tf.random.stateless_uniform([count], seeds[5], -_MAX_ANGLE, _MAX_ANGLE)
    half_sides = _half_sides(tf.gather(glyphs.boxes, samples), sizes, angles)
    centers = _place(half_sides, bond < _NEIGHBOR_PROBABILITY, seeds[6], tf.constant(canvas_size, tf.float32))
    return Layout(samples, digits + 1, sizes, angles, centers)


def _draw_sizes(count, seed, canvas_size):
    largest = min(LARGEST, min(canvas_size) * 2 // 3)
    smallest = min(SMALLEST, largest)
    sizes = tf.random.stateless_uniform([count], seed, smallest, largest)
    return tf.sort(sizes, direction="DESCENDING")


def _half_sides(boxes, sizes, angles):
    """[n, 2] (y, x): half the sides of a box around each rotated digit, in pixels of the scene."""
    sides = boxes[:, 2:] - boxes[:, :2]
    sides *= (sizes / tf.reduce_max(sides, axis=1))[:, None]
    cosine, sine = tf.cos(angles)[:, None], tf.abs(tf.sin(angles))[:, None]
    return (sides * cosine + sides[:, ::-1] * sine) / 2


def _place(half_sides, is_neighbor, seed, canvas_size):
    """Gives each digit in turn the first of some random places where it overlaps the earlier ones little.

    Args:
        half_sides: [n, 2] float32 (y, x).
        is_neighbor: [n] bool, whether a digit tries places beside its predecessor first.
        seed: [2] int64.
        canvas_size: [2] float32 (height, width).

    Returns:
        [n, 2] float32 centres (y, x).
    """
    count = tf.shape(half_sides)[0]
    free_seed, beside_seed = tf.unstack(tf.random.experimental.stateless_split(seed, 2), num=2)
    fractions = tf.random.stateless_uniform([count, _CANDIDATES, 2], free_seed)
    free = half_sides[:, None] + fractions * (canvas_size - 2 * half_sides)[:, None]
    beside = _offsets_beside(half_sides, beside_seed)
    tries_beside = is_neighbor[:, None, None] & (tf.range(_CANDIDATES) < _CANDIDATES // 2)[:, None]

    # Of equally good places the first; argmin alone leaves ties open.
    preference = tf.range(_CANDIDATES, dtype=tf.float32) * 1e-4

    def place_next(i, centers):
        candidates = tf.where(tries_beside[i], centers[i - 1] + beside[i], free[i])
        candidates = tf.clip_by_value(candidates, half_sides[i], canvas_size - half_sides[i])
        overlaps = _overlaps(candidates, half_sides[i], centers[:i], half_sides[:i])
        cost = tf.reduce_max(tf.nn.relu(overlaps - _TOLERATED_OVERLAP), axis=1) + preference
        best = candidates[tf.argmin(cost, output_type=tf.int32)]
        return i + 1, tf.tensor_scatter_nd_update(centers, [[i]], [best])

    return tf.while_loop(lambda i, _: i < count, place_next, (1, free[:, 0]))[1]


def _offsets_beside(half_sides, seed):
    """[n, K, 2] (y, x): random offsets that put a digit on its predecessor's left, right, top or bottom edge."""
    shape = [tf.shape(half_sides)[0], _CANDIDATES, 1]
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 3), num=3)
    previous, own = tf.roll(half_sides, 1, axis=0)[:, None], half_sides[:, None]
    depth = tf.random.stateless_uniform(shape, seeds[0], 0, _MAX_DEPTH)
    across = previous + own * (1 - 2 * depth)
    along = previous * tf.random.stateless_uniform(shape, seeds[1], -1, 1)
    side = tf.random.stateless_uniform(shape, seeds[2], 0, 4, tf.int32)
    vertical = tf.stack([across[..., 0], along[..., 1]], axis=2)
    horizontal = tf.stack([along[..., 0], across[..., 1]], axis=2)
    return tf.where(side < 2, vertical, horizontal) * tf.where(side % 2 == 0, 1.0, -1.0)


def _overlaps(centers, half_side, other_centers, other_half_sides):
    """[K, m]: intersection of boxes of one shape at K places with m others, as a fraction of the smaller box."""
    low = tf.maximum((centers - half_side)[:, None], other_centers - other_half_sides)
    high = tf.minimum((centers + half_side)[:, None], other_centers + other_half_sides)
    intersection = tf.reduce_prod(tf.nn.relu(high - low), axis=2)
    smaller = tf.minimum(tf.reduce_prod(half_side), tf.reduce_prod(other_half_sides, axis=1))
    return intersection / (4 * smaller)
