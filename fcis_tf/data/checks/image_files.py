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
_MISSING = "no such file"


class _File(NamedTuple):
    """What is in an image file: why it cannot be read, or its (height, width) as stored and EXIF's orientation."""

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
    yield from _of_other_size(content, [file for file in files if file.problem is None])


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
        height, width = _decoded_size(str(path)).numpy().tolist()
    except tf.errors.OpError as error:
        return _File(row, describe_data_error(error) or error.message)
    except OSError as error:
        return _File(row, f"{path}: {error.strerror}")
    return _File(row, None, (height, width), _orientation(path))


def _orientation(path):
    try:
        with Image.open(path) as image:
            return image.getexif().get(_ORIENTATION, 1)
    except Exception:
        # What of damaged metadata Pillow runs into doesn't matter where the pixels could be decoded.
        return 1


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
                else "Copy or convert these files again; training leaves them out, evaluation counts on them",
                faulty[0].problem,
            )


def _of_other_size(content, files):
    """Compares sizes; an image that EXIF turns has two, and the annotations may be for either."""
    known = [f for f in files if np.isfinite(content.sizes[f.row]).all()]
    differing = [f for f in known if tuple(content.sizes[f.row]) != f.size]
    turned = [f for f in differing if _is_swapped(content, f) and f.orientation in _TURNED]
    swapped = [f for f in differing if _is_swapped(content, f) and f.orientation not in _TURNED]
    others = [f for f in differing if not _is_swapped(content, f)]
    causes = [
        (
            turned,
            "are turned by their EXIF orientation, and have the annotations' size the other way round",
            "Open one with fcis_tf.data.view: if masks lie beside the objects, turn the pixels and delete the EXIF tag",
        ),
        (
            swapped,
            "have height and width swapped in the annotations",
            "Swap height and width of these entries of images",
        ),
        (
            others,
            "have another size than the annotations say",
            "Write the files' size as height and width, and scale boxes and masks if the images were resized",
        ),
    ]
    for faulty, message, advice in causes:
        if faulty:
            yield Finding(
                level_of(len(faulty), len(known)),
                f"{len(faulty)} of {len(known)} images {message}",
                advice,
                _sizes(content, faulty[0]),
            )


def _is_swapped(content, file):
    return tuple(content.sizes[file.row][::-1]) == file.size


def _sizes(content, file):
    (height, width), (said_height, said_width) = file.size, content.sizes[file.row]
    name = content.describe_image(file.row)
    return f"{name}, of {width} x {height} pixels and {said_width:.0f} x {said_height:.0f} in the annotations"
