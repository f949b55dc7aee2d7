"""Photographs to find instances in."""

import numpy as np
import tensorflow as tf
from PIL import ExifTags, Image, ImageOps

from fcis_tf.data import decode_image, describe_data_error
from fcis_tf.errors import UserError


def read_photograph(path):
    """Reads an image file the way up that its EXIF data says, as viewers show it.

    Args:
        path: of a JPEG, PNG, GIF, BMP or WebP file.

    Returns:
        [H, W, 3] uint8, RGB.

    Raises:
        UserError: the file cannot be read or decoded.
    """
    try:
        picture = Image.fromarray(decode_image(str(path)).numpy())
    except tf.errors.InvalidArgumentError as error:
        raise UserError(describe_data_error(error) or f"{path}: {error.message}") from None
    # The network sees the same pixels as in training, so that Pillow contributes nothing but the orientation.
    with Image.open(path) as file:
        picture.getexif()[ExifTags.Base.Orientation] = file.getexif().get(ExifTags.Base.Orientation, 1)
    return np.asarray(ImageOps.exif_transpose(picture))
