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
    size = resized_size(tf.shape(image)[-3:-1], short_side, long_side)
    # Faster than the same from uint8, with the same result.
    resized = tf.image.resize(tf.cast(image, tf.float32), size, method="bilinear", antialias=False)
    return _subtract_mean(resized), _scale(image, size)


def prepare_window(image, short_side, long_side, origin, size):
    """Makes a window of what `prepare_image` would make, without making the rest.

    Args:
        image: [H, W, 3] uint8 RGB.
        short_side, long_side: as `prepare_image` takes them.
        origin: [2] int32, the window's upper left corner (y, x) in the resized image.
        size: [2] int32, its height and width.

    Returns:
        As `prepare_image` does.
    """
    scale = _scale(image, resized_size(tf.shape(image)[:2], short_side, long_side))
    shift = -tf.cast(origin, tf.float32)
    # With this kernel and without antialiasing it is bilinear resizing, of the window only.
    window = tf.raw_ops.ScaleAndTranslate(
        images=image[None], size=size, scale=scale, translation=shift, kernel_type="triangle", antialias=False
    )[0]
    return _subtract_mean(window), scale


def resized_size(size, short_side, long_side):
    """Returns the size [2] int32 (height, width) that `prepare_image` resizes an image of size [2] int32 to."""
    size = tf.cast(size, tf.float32)
    factor = tf.minimum(short_side / tf.reduce_min(size), long_side / tf.reduce_max(size))
    return tf.cast(tf.maximum(tf.round(size * factor), 1), tf.int32)


def _scale(image, size):
    return tf.cast(size, tf.float32) / tf.cast(tf.shape(image)[-3:-1], tf.float32)


def _subtract_mean(image):
    """Subtracts the mean colour from [..., w, 3], whole rows at once, since TensorFlow is slow on short vectors."""
    shape = tf.shape(image)
    rows = tf.reshape(image, tf.concat([shape[:-2], [3 * shape[-2]]], axis=0))
    return tf.reshape(rows - tf.tile(tf.constant(IMAGE_MEAN), [shape[-2]]), shape)


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
