"""Photographs to find instances in."""

import numpy as np
import tensorflow as tf
from PIL import ExifTags, Image, ImageOps

from fcis_tf.data import decode_image, describe_data_error
from fcis_tf.data.image_file import UNREADABLE
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
        UserError: the file is missing, cannot be read or cannot be decoded; the message says which.
    """
    # The pixels are decoded as for training; Pillow contributes nothing but the orientation.
    try:
        with Image.open(path) as file:
            orientation = file.getexif().get(ExifTags.Base.Orientation, 1)
        picture = Image.fromarray(_decode(str(path)).numpy())
    except tf.errors.InvalidArgumentError as error:
        raise UserError(describe_data_error(error) or f"{path}: {error.message}") from None
    except OSError as error:
        # Only errors of the operating system, such as a missing file, have a text of their own.
        raise UserError(f"{path}: {error.strerror or UNREADABLE}") from None
    except Image.DecompressionBombError as error:
        raise UserError(f"{path}: {error}") from None
    picture.getexif()[ExifTags.Base.Orientation] = orientation
    return np.asarray(ImageOps.exif_transpose(picture))
