"""Whether the images can be read, and are as large as the annotations say."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image
from tqdm import tqdm

from fcis_tf.data import decode_image, describe_data_error
from fcis_tf.data.checks.finding import Finding, level_of

_ORIENTATION = 0x0112
# EXIF orientations that turn an image by 90 degrees.
_TURNED = (5, 6, 7, 8)
# And those that leave its size as it is.
_MIRRORED = (2, 3, 4)
_MISSING = "no such file"


class _File(NamedTuple):
    """What is in an image file: why it cannot be read, or its (height, width) as stored and its EXIF orientation."""

    row: int
    problem: str | None = None
    size: tuple = (0, 0)
    orientation: int = 1


def check_image_files(content, config, limit=None):
    """Image files that are missing, damaged or of another size; decodes all of them, or `limit` random ones."""
    rows = np.arange(len(content.images))
    if limit is not None and limit < len(rows):
        rows = np.sort(np.random.default_rng(0).choice(rows, limit, replace=False))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        files = pool.map(lambda row: _read(content, int(row)), rows)
        files = list(tqdm(files, f"Decoding images of {content.key}", len(rows), delay=2, leave=False, unit=" images"))
    yield from _unreadable(content, files)
    readable = [file for file in files if file.problem is None]
    yield from _of_other_size(content, readable)
    yield from _mirrored(content, readable)


@tf.function(input_signature=[tf.TensorSpec([], tf.string)])
def _decoded_size(path):
    return tf.shape(decode_image(path))[:2]


def _read(content, row):
    try:
        if not content.has_files:
            content.example(row)
            return _File(row, size=tuple(content.sizes[row]))
        path = content.path(row)
        if path is None:
            return _File(row, f"{_MISSING}: {content.describe_image(row)} has no file_name")
        if not path.is_file():
            return _File(row, f"{_MISSING}: {path}")
        decoded_size = _decoded_size(str(path)).numpy().tolist()
    except tf.errors.OpError as error:
        return _File(row, describe_data_error(error) or error.message)
    except OSError as error:
        return _File(row, f"{path}: {error.strerror}")
    try:
        with Image.open(path) as image:
            return _File(row, None, image.size[::-1], image.getexif().get(_ORIENTATION, 1))
    except Exception:
        # What of damaged metadata Pillow runs into doesn't matter where the pixels could be decoded.
        return _File(row, None, tuple(decoded_size))


def _unreadable(content, files):
    for missing in (True, False):
        faulty = [f for f in files if f.problem is not None and f.problem.startswith(_MISSING) == missing]
        if faulty:
            yield Finding(
                level_of(len(faulty), len(files)) if not missing else "error",
                f"{len(faulty)} of {len(files)} images "
                + ("have no file" if missing else "cannot be read; their files are damaged or of no known format"),
                "Mend the folder of images or each file_name, which is relative to it"
                if missing
                else "Copy or convert these files again; training cannot learn from them",
                faulty[0].problem,
            )


# What may be wrong with an image's size, and what to do.
_TURNED_AS_STORED = (
    "are turned by their EXIF orientation, but annotated as they are stored",
    "Turn the pixels, delete the tag and annotate them upright: predict.py shows the network upright images",
)
_SWAPPED = (
    "have height and width swapped in the annotations",
    "Swap height and width of these entries of images",
)
_OTHER_SIZE = (
    "have another size than the annotations say",
    "Write the files' size as height and width, and scale boxes and masks if the images were resized",
)


def _of_other_size(content, files):
    known = [file for file in files if np.isfinite(content.sizes[file.row]).all()]
    causes = [_cause(tuple(content.sizes[file.row]), file) for file in known]
    for cause in (_TURNED_AS_STORED, _SWAPPED, _OTHER_SIZE):
        if cause in causes:
            count, (message, advice) = causes.count(cause), cause
            example = _sizes(content, known[causes.index(cause)])
            message = f"{count} of {len(known)} images {message}"
            yield Finding(level_of(count, len(known)), message, advice, example)


def _mirrored(content, files):
    mirrored = [file for file in files if file.orientation in _MIRRORED]
    if mirrored:
        yield Finding(
            "warning",
            f"{len(mirrored)} of {len(files)} images have an EXIF orientation that turns them upside down or mirrors "
            "them, and sizes cannot tell whether they were annotated so",
            "See in fcis_tf.data.view whether masks lie on their objects; if not, turn the pixels and delete the tag",
            content.describe_image(mirrored[0].row),
        )


def _cause(annotated_size, file):
    """Returns what is wrong with an image's size, None if nothing is."""
    upright_size = file.size[::-1] if file.orientation in _TURNED else file.size
    if annotated_size == upright_size:
        return None
    if annotated_size == file.size:
        return _TURNED_AS_STORED
    return _SWAPPED if annotated_size[::-1] == upright_size else _OTHER_SIZE


def _sizes(content, file):
    (height, width), (said_height, said_width) = file.size, content.sizes[file.row]
    name = content.describe_image(file.row)
    return f"{name}, of {width} x {height} pixels and {said_width:.0f} x {said_height:.0f} in the annotations"
