"""Image files as a server takes them."""

from pathlib import Path

from fcis_tf.errors import UserError
from fcis_tf.export.servable_file import servable_file


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
        contents = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    return servable_file(contents, path)
