"""Image files as an exported model takes them."""

import io

from PIL import Image

from fcis_tf.inference.photograph import decode_photograph


def servable_file(contents, name):
    """Turns an image file into one that an exported model decodes, which is everything but WebP.

    Args:
        contents: bytes of an image file.
        name: what messages call the file.

    Returns:
        The bytes as they are, except for WebP: its upright pixels as PNG.

    Raises:
        UserError: a WebP file cannot be decoded; the message names it.
    """
    if not (contents.startswith(b"RIFF") and contents[8:12] == b"WEBP"):
        # Whether it is an image at all is for the model to say.
        return contents
    encoded = io.BytesIO()
    # Lossless, so that the model sees the same pixels as predict.py; the fastest level of compression.
    Image.fromarray(decode_photograph(contents, name)).save(encoded, "PNG", compress_level=1)
    return encoded.getvalue()
