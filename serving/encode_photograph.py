"""Image files as a server takes them."""

import io
from pathlib import Path

from PIL import ExifTags, Image

from fcis_tf.errors import UserError
from fcis_tf.inference.photograph import read_photograph


def encode_photograph(path):
    """Reads an image file for a server, which neither turns images as their EXIF data says nor decodes WebP.

    Args:
        path: of an image file.

    Returns:
        The file's bytes as they are, except for a turned image and for WebP: their upright pixels as PNG.

    Raises:
        UserError: the file cannot be read; the message names it.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    if _is_upright(content):
        return content
    encoded = io.BytesIO()
    # Lossless, so that the server sees the same pixels as predict.py; the fastest level of compression.
    Image.fromarray(read_photograph(path)).save(encoded, "PNG", compress_level=1)
    return encoded.getvalue()


def _is_upright(content):
    try:
        with Image.open(io.BytesIO(content)) as file:
            return file.format != "WEBP" and file.getexif().get(ExifTags.Base.Orientation, 1) == 1
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        # Whether it is an image at all is for the server to say.
        return True
