"""Photographs to find instances in."""

import numpy as np
import tensorflow as tf
from PIL import ExifTags, Image, ImageOps

from fcis_tf.data import decode_image, describe_data_error
from fcis_tf.errors import UserError

# Only within a graph do decoding errors name the file.
_decode = tf.function(decode_image, input_signature=[tf.TensorSpec([], tf.string)])


def read_photograph(path):
    """Reads an image file the way up that its EXIF data says, as viewers show it.

    Args:
        path: of a JPEG, PNG, GIF, BMP or WebP file.

    Returns:
        [H, W, 3] uint8, RGB.

    Raises:
        UserError: the file cannot be read or decoded.
    """
    # The pixels are decoded as for training; Pillow contributes nothing but the orientation.
    try:
        picture = Image.fromarray(_decode(str(path)).numpy())
        with Image.open(path) as file:
            picture.getexif()[ExifTags.Base.Orientation] = file.getexif().get(ExifTags.Base.Orientation, 1)
    except tf.errors.InvalidArgumentError as error:
        raise UserError(describe_data_error(error) or f"{path}: {error.message}") from None
    except (OSError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: {error}") from None
    return np.asarray(ImageOps.exif_transpose(picture))
