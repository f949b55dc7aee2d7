"""Photographs to find instances in."""

from pathlib import Path

import tensorflow as tf

from fcis_tf.data import describe_data_error
from fcis_tf.data.image_file import decode_contents
from fcis_tf.errors import UserError

# Only within a graph do decoding errors name the file.
_decode = tf.function(decode_contents, input_signature=[tf.TensorSpec([], tf.string)] * 2)


def read_photograph(path):
    """Reads an image file the way up that its EXIF data says, as viewers show it.

    Args:
        path: of a JPEG, PNG, GIF, BMP or WebP file.

    Returns:
        [H, W, 3] uint8, RGB.

    Raises:
        UserError: the file is missing, cannot be read or cannot be decoded; the message says which.
    """
    try:
        contents = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    return decode_photograph(contents, path)


def decode_photograph(contents, name):
    """Decodes an image file the way up that its EXIF data says, as viewers show it.

    Args:
        contents: bytes of a JPEG, PNG, GIF, BMP or WebP file.
        name: what messages call the file.

    Returns:
        [H, W, 3] uint8, RGB.

    Raises:
        UserError: the file cannot be decoded; the message names it.
    """
    try:
        return _decode(contents, str(name)).numpy()
    except tf.errors.InvalidArgumentError as error:
        raise UserError(describe_data_error(error) or f"{name}: {error.message}") from None
