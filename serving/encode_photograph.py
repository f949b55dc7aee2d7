"""Image files as a server takes them."""

import io
from pathlib import Path

from PIL import Image

from fcis_tf.errors import UserError
from fcis_tf.inference.photograph import read_photograph


def encode_photograph(path):
    """Reads an image file for a server, which decodes everything but WebP.

    Args:
        path: of an image file.

    Returns:
        The file's bytes as they are, except for WebP: its upright pixels as PNG.

    Raises:
        UserError: the file cannot be read; the message names it.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    if not (content.startswith(b"RIFF") and content[8:12] == b"WEBP"):
        # Whether it is an image at all is for the server to say.
        return content
    encoded = io.BytesIO()
    # Lossless, so that the server sees the same pixels as predict.py; the fastest level of compression.
    Image.fromarray(read_photograph(path)).save(encoded, "PNG", compress_level=1)
    return encoded.getvalue()
