"""From a decoded image to the network's input."""

import tensorflow as tf

# Mean of ImageNet's images, RGB, which the published weights were trained with.
IMAGE_MEAN = (123.15, 115.90, 103.06)

# Sides of a padded image are multiples of the score maps' stride.
SIZE_MULTIPLE = 16


def prepare_image(image, short_side, long_side):
    """Resizes an image, or several of one size, and subtracts the mean colour.

    Args:
        image: [H, W, 3] or [N, H, W, 3] uint8 RGB.
        short_side: the shorter side becomes this many pixels,
        long_side: unless the longer one would become more than this.

    Returns:
        image: [h, w, 3] or [N, h, w, 3] float32 RGB, the mean subtracted.
        scale: [2] float32 (h / H, w / W), which brings boxes from `image`'s pixels to the result's.
    """
    original_size = tf.cast(tf.shape(image)[-3:-1], tf.float32)
    size = resized_size(original_size, short_side, long_side)
    resized = tf.image.resize(image, tf.cast(size, tf.int32), method="bilinear", antialias=False)
    return resized - tf.constant(IMAGE_MEAN), size / original_size


def resized_size(original_size, short_side, long_side):
    """Returns the size [..., 2] float32, in whole pixels, that `prepare_image` gives images of size [..., 2] float32.

    Sizes are (height, width); short_side and long_side are as `prepare_image` takes them.
    """
    shorter, longer = (f(original_size, axis=-1, keepdims=True) for f in (tf.reduce_min, tf.reduce_max))
    factor = tf.minimum(short_side / shorter, long_side / longer)
    return tf.maximum(tf.round(original_size * factor), 1)


def pad_image(image):
    """Pads an image, or several of one size, with zeros on the right and bottom, to multiples of SIZE_MULTIPLE.

    Args:
        image: [h, w, 3] or [N, h, w, 3] float32.

    Returns:
        [H, W, 3] or [N, H, W, 3] float32.
    """
    rest = -tf.shape(image)[-3:-1] % SIZE_MULTIPLE
    padding = [[0, 0]] * (len(image.shape) - 3) + [[0, rest[0]], [0, rest[1]], [0, 0]]
    return tf.ensure_shape(tf.pad(image, padding), [None] * (len(image.shape) - 1) + [3])
