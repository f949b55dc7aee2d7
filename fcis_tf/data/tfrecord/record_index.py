"""The index of a TFRecord file: where its records are, and what they say but for their images and masks."""

import json
import logging
import os
import zipfile
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from fcis_tf.data.tfrecord.record_file import find_records, read_record
from fcis_tf.data.tfrecord.record_layout import UnusableRecord, read_content
from fcis_tf.data.tfrecord.shards import INDEX_SUFFIX, PARTIAL_SUFFIX

_logger = logging.getLogger(__name__)

# Changes whenever indices of before are not to be read any more.
_VERSION = 1
# Sides of a box below this are no instance's.
_SMALLEST_SIDE = 0.1


class RecordIndex(NamedTuple):
    """The usable records of a file, R, and their instances, K in all.

    Attributes:
        offsets: [R] int64, where each record begins in the file.
        sizes: [R, 2] int32, height and width of the images.
        starts: [R + 1] int64: the instances of record i are those from starts[i] to starts[i + 1].
        boxes: [K, 4] float32 (ymin, xmin, ymax, xmax) in pixels, within the image.
        labels: [K] int64, category ids.
        is_crowd: [K] bool.
        areas: [K] float32, in pixels.
        mask_numbers: [K] int32, which of its record's masks is an instance's.
        source_ids: list of R strings.
        names: dict from those category ids whose names the records give to these.
        problems: list of (kind, detail), as `Problems` takes them: why records and instances were left out.
    """

    offsets: np.ndarray
    sizes: np.ndarray
    starts: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    is_crowd: np.ndarray
    areas: np.ndarray
    mask_numbers: np.ndarray
    source_ids: list
    names: dict
    problems: list


def read_indices(paths):
    """Reads the indices of files, and makes those that are missing or older than their file.

    Args:
        paths: list of pathlib.Path.

    Returns:
        List of RecordIndex.

    Raises:
        UserError: a file cannot be read or is no TFRecord file.
    """
    return [_read_index(path) for path in tqdm(paths, "Reading the records' index", delay=2, leave=False)]


def _read_index(path):
    index = _load_index(path)
    if index is None:
        index = make_index(path)
        try:
            save_index(index, path, path.stat())
        except OSError as error:
            _logger.info("%s: its index cannot be kept beside it: %s", path, error.strerror)
    return index


def make_index(path):
    """Reads a whole file and makes its index.

    Args:
        path: pathlib.Path.

    Returns:
        RecordIndex.

    Raises:
        UserError: the file cannot be read or is no TFRecord file.
    """
    offsets, damage = find_records(path)
    problems = [("records behind a damaged place of a file", f"{path}: {damage}")] if damage else []
    kept_offsets, contents, names = [], [], {}
    for number, offset in enumerate(offsets):
        try:
            content = read_content(_read_record(str(path), offset).numpy())
        except UnusableRecord as problem:
            problems.append((str(problem), f"{path}: record {number} is one of the {problem}"))
            continue
        kept_offsets.append(offset)
        contents.append(content)
        names |= dict(zip(content.labels.tolist(), content.names, strict=False))
    return _join(kept_offsets, contents, names, problems, path)


# Traced once in a process, however many files are read.
_read_record = tf.function(
    read_record, input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int64)], autograph=False
)


def _join(offsets, contents, names, problems, path):
    counts = [len(content.labels) for content in contents]
    sizes = np.array([content.size for content in contents], np.int32).reshape(-1, 2)
    boxes = np.concatenate([np.zeros([0, 4]), *(content.boxes for content in contents)])
    boxes, kept = _clip_boxes(boxes, np.repeat(sizes, counts, axis=0))
    rows = np.repeat(np.arange(len(counts)), counts)
    mask_numbers = np.concatenate([np.zeros(0, np.int32), *map(np.arange, counts)])
    for row, number in zip(rows[~kept], mask_numbers[~kept], strict=True):
        detail = f"{path}: image {contents[row].source_id!r}: box {number} is empty or outside of the image"
        problems.append(("boxes that are empty or outside of the image", detail))
    return RecordIndex(
        offsets=np.array(offsets, np.int64),
        sizes=sizes,
        starts=np.searchsorted(rows[kept], np.arange(len(counts) + 1)).astype(np.int64),
        boxes=boxes[kept],
        labels=_concatenate([content.labels for content in contents], np.int64)[kept],
        is_crowd=_concatenate([content.is_crowd for content in contents], bool)[kept],
        areas=_concatenate([content.areas for content in contents], np.float32)[kept],
        mask_numbers=mask_numbers[kept].astype(np.int32),
        source_ids=[content.source_id for content in contents],
        names=names,
        problems=problems,
    )


def _concatenate(arrays, dtype):
    return np.concatenate([np.zeros(0, dtype), *arrays])


def _clip_boxes(boxes, sizes):
    """Clips [K, 4] boxes to images of [K, 2] sizes; also returns [K] bool, whether anything is left of each."""
    clipped = np.clip(boxes, 0, np.tile(sizes, 2)).astype(np.float32)
    return clipped, (clipped[:, 2:] - clipped[:, :2] >= _SMALLEST_SIDE).all(axis=1)


def save_index(index, path, status):
    """Keeps an index beside its file; an index that was there stays intact until the new one is complete.

    Args:
        index: RecordIndex.
        path: pathlib.Path of the file, which need not be there yet.
        status: os.stat_result of the file; as long as its size and time are these, the index is valid.

    Raises:
        OSError: it cannot be written.
    """
    arrays = {name: value for name, value in index._asdict().items() if isinstance(value, np.ndarray)}
    texts = {name: value for name, value in index._asdict().items() if name not in arrays}
    target = _index_path(path)
    # Several programs may make the same index at once.
    partial = target.with_name(f"{target.name}.{os.getpid()}{PARTIAL_SUFFIX}")
    try:
        with open(partial, "wb") as file:
            np.savez(file, stamp=_stamp(status), texts=np.frombuffer(json.dumps(texts).encode(), np.uint8), **arrays)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _load_index(path):
    """Returns the index that is kept beside a file, or None if there is none that is valid."""
    try:
        with np.load(_index_path(path), allow_pickle=False) as archive:
            arrays = dict(archive)
        if not np.array_equal(arrays.pop("stamp"), _stamp(path.stat())):
            return None
        texts = json.loads(arrays.pop("texts").tobytes())
        texts["names"] = {int(label): name for label, name in texts["names"].items()}
        return RecordIndex(**arrays, **texts)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None


def _index_path(path):
    return path.with_name(path.name + INDEX_SUFFIX)


def _stamp(status):
    return np.array([_VERSION, status.st_size, status.st_mtime_ns], np.int64)
