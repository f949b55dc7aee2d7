"""A file of annotations in COCO's JSON format, as it stands there."""

import json

from fcis_tf.errors import UserError

# What has to be a whole number, and that some libraries write as 3.0.
_WHOLE = {
    "images": ("id", "height", "width"),
    "annotations": ("id", "image_id", "category_id", "iscrowd"),
    "categories": ("id",),
}


def read_coco_file(path, where, hint):
    """Reads a file without checking what is in it, but for whole numbers such as 3.0, which become integers.

    Args:
        path: pathlib.Path of the file.
        where: the key of the configuration and the file, for messages.
        hint: what to say of where a missing file comes from.

    Returns:
        Whatever the JSON text stands for.

    Raises:
        UserError: the file is missing, or isn't JSON.
    """
    try:
        # Some editors put a byte order mark in front.
        with open(path, encoding="utf-8-sig") as file:
            content = json.load(file)
    except FileNotFoundError:
        raise UserError(f"{where}: no such file; {hint}") from None
    except OSError as error:
        raise UserError(f"{where}: cannot be read: {error.strerror}") from None
    except RecursionError:
        raise UserError(f"{where}: not COCO JSON: nested too deeply") from None
    except UnicodeDecodeError:
        raise UserError(f"{where}: not UTF-8 text; save it as UTF-8") from None
    except ValueError as error:
        raise UserError(f"{where}: not JSON: {error}") from None
    for name, fields in _WHOLE.items() if isinstance(content, dict) else ():
        entries = content.get(name)
        for entry in entries if isinstance(entries, list) else ():
            _make_whole(entry, fields)
    return content


def _make_whole(entry, fields):
    for field in fields if isinstance(entry, dict) else ():
        value = entry.get(field)
        if isinstance(value, float) and value.is_integer():
            entry[field] = int(value)
