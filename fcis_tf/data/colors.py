"""Random colours of a wanted brightness."""

import tensorflow as tf

# Of linear-light RGB (Rec. 709).
_LUMINANCE = (0.2126, 0.7152, 0.0722)


def draw_colors(count, seed, luminances):
    """Draws colours of any hue with luminances in a range.

    Args:
        count: how many.
        seed: [2] int64.
        luminances: (low, high) within 0 to 1, tensors or floats.

    Returns:
        [count, 3] float32 RGB, 0 to 1.
    """
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 2), num=2)
    hue, saturation, _ = tf.unstack(tf.random.stateless_uniform([count, 3], seeds[0]), axis=1)
    color = tf.image.hsv_to_rgb(tf.stack([hue, 0.3 + 0.7 * saturation, tf.ones_like(hue)], axis=1))
    wanted = tf.random.stateless_uniform([count, 1], seeds[1], *luminances)
    luminance = tf.reduce_sum(color * _LUMINANCE, axis=1, keepdims=True)
    toward_white = color + (1 - color) * (wanted - luminance) / (1.001 - luminance)
    return tf.where(wanted < luminance, color * wanted / luminance, toward_white)
