"""Decoding images that anyone may have sent, in the graph."""

import tensorflow as tf

from fcis_tf.data.exif_orientation import read_orientation, turn_upright
from fcis_tf.data.image_file import first_success
from fcis_tf.export.image_header import FORMATS, read_image_header

# What rendering masks takes grows with the sides, not with their product.
MAX_SIDE = 16384

# More scans than any program writes: each is a pass over all pixels, and can be made of a few bytes.
MAX_SCANS = 100

_ACCEPTED = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"


def decode_image_bytes(contents, index, max_pixels):
    """Decodes an image file, once its header has shown that it is small enough.

    The pixels are those that `fcis_tf.data.decode_image` gives for the same file, the way up that its EXIF data say.

    Args:
        contents: string scalar, the bytes of a JPEG, PNG, GIF (of which the first frame is taken) or BMP file.
        index: int32 scalar, the number of the image in its request; for messages.
        max_pixels: images of more are refused.

    Returns:
        [H, W, 3] uint8, RGB.

    Raises:
        tf.errors.InvalidArgumentError: it is no such file, damaged, or too large. The message says which, and begins
            with `image_bytes[index]`.
    """

    def checked(value, condition, *problem):
        message = tf.strings.join(["image_bytes[", tf.strings.as_string(index), "]: ", *problem])
        with tf.control_dependencies([tf.debugging.Assert(condition, [message])]):
            return tf.identity(value)

    file, image_format, size = read_image_header(contents)
    file = checked(file, image_format < len(FORMATS), f"not an image that can be read; expected {_ACCEPTED}")
    damaged = f"a damaged or incomplete file; expected a whole {_ACCEPTED} file"
    file = checked(file, tf.reduce_all(size > 0), damaged)
    small_enough = tf.reduce_all(size <= MAX_SIDE) & (size[0] * size[1] <= max_pixels)
    text = tf.strings.as_string(size)
    limits = f" pixels; expected at most {MAX_SIDE} a side and {max_pixels} in all"
    file = checked(file, small_enough, "an image of height ", text[0], " and width ", text[1], limits)
    few_scans = (image_format != FORMATS.index("JPEG")) | (_count_scans(file) <= MAX_SCANS)
    file = checked(file, few_scans, f"a JPEG file of more scans than the {MAX_SCANS} that are accepted")
    image = first_success([_decode], file, tf.zeros([0, 0, 3], tf.uint8))
    image = turn_upright(checked(image, tf.size(image) > 0, damaged), read_orientation(file))
    return tf.ensure_shape(image, [None, None, 3])


def _decode(contents):
    return tf.io.decode_image(contents, channels=3, expand_animations=False)


def _count_scans(contents):
    """Returns how often the marker that begins a scan is in a JPEG file; compressed data cannot contain it."""
    values = tf.io.decode_raw(contents, tf.uint8)
    return tf.math.count_nonzero((values[:-1] == 0xFF) & (values[1:] == 0xDA))
