"""Lists of images, as PASCAL VOC and SBD have them."""

import re
from collections import Counter

from fcis_tf.errors import UserError


def read_image_ids(path, where, hint):
    """Reads a list of images: one id a line, such as 2008_000002.

    Args:
        path: of a text file.
        where: the key of the configuration that names it, for messages.
        hint: what to say of where a missing file comes from.

    Returns:
        A list of strings, in the file's order, that can be used as file names.

    Raises:
        UserError: there is no such list, or it is empty, or a line isn't an id, or an id stands there twice.
    """
    where = f"{where}: {path}"
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise UserError(f"{where}: no such file; {hint}") from None
    except OSError as error:
        raise UserError(f"{where}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{where}: not text; expected one image id a line") from None
    image_ids = [line.strip() for line in lines if line.strip()]
    for image_id, count in Counter(image_ids).items():
        # Neither ../2008_000002 nor a line of a list by class: 2008_000002 -1.
        if not re.fullmatch(r"\w[\w.-]*", image_id):
            raise UserError(f"{where}: expected one image id a line, such as 2008_000002, found {image_id!r}")
        if count > 1:
            raise UserError(f"{where}: {image_id} stands there twice")
    if not image_ids:
        raise UserError(f"{where}: the list is empty")
    return image_ids
