"""Files that are written whole or not at all."""

import os
from pathlib import Path

from fcis_tf.errors import UserError


def write_text(text, path):
    """Writes a text; a file that was there stays intact until the new one is complete.

    Raises:
        UserError: the file cannot be written.
    """
    write_bytes(text.encode(), path)


def write_bytes(content, path):
    """Writes bytes; a file that was there stays intact until the new one is complete.

    Raises:
        UserError: the file cannot be written.
    """
    path = Path(path)
    # In the same directory, since a rename is atomic only within one file system.
    partial = path.with_name(f"{path.name}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            # Lest a machine that fails has the new name and no content.
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        if partial.is_file():
            partial.unlink()
        raise UserError(f"{path}: cannot write this file: {error.strerror}") from None
