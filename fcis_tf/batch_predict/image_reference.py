"""Images by reference: finding those that a pattern names, and reading one of them."""

import contextlib
import glob
import os
import re
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import tensorflow as tf
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from google.protobuf.message import DecodeError

from fcis_tf.data.tfrecord.record_file import follow_records, read_record
from fcis_tf.errors import UserError
from fcis_tf.printable import is_encodable

_TFRECORD = re.compile(r".*(\.tfrecords?|-\d{5,}-of-\d{5,})")


class BadImage(Exception):
    """An image that there are no results for; the message says why, in one line."""


class ImageReference(NamedTuple):
    """Where an image is.

    Attributes:
        name: of an image file its path below the folder that the pattern begins with; of a record its image's name.
        path: of the image file or of the TFRecord file.
        offset: where the record begins in the file; None for an image file.
        source_id: of a record, "" where it has none; None for an image file.
        problem: why there is no image, None where that is not known yet.
        place: of a record its file's name and its number, which no other record has: "x.tfrecord[0]".
    """

    name: str
    path: str
    offset: int | None = None
    source_id: str | None = None
    problem: str | None = None
    place: str | None = None

    @property
    def number(self):
        """The number that the image is named with, None for an image that is named otherwise."""
        stem = PurePosixPath(self.name).stem if self.source_id is None else self.source_id
        return int(stem) if stem.isascii() and stem.isdigit() else None


def tell_apart(references):
    """Returns a list of references in which records of the same name and number are named by their places instead."""
    counts = Counter((reference.name, reference.number) for reference in references)
    return [
        reference._replace(name=reference.place)
        if reference.place and counts[reference.name, reference.number] > 1
        else reference
        for reference in references
    ]


def match_files(pattern):
    """Finds the files of a pattern.

    Args:
        pattern: with *, ?, [...] and ** for folders at any depth; of this machine or a URL that Beam knows.

    Returns:
        List of (path, size in bytes or None where there is no such file), sorted; without folders.
    """
    if FileSystems.get_scheme(pattern) is None:
        # Beam's own matching leaves out links that lead nowhere, and nobody would know.
        return [(path, _size(path)) for path in sorted(_glob(pattern)) if not os.path.isdir(path)]
    (match,) = FileSystems.match([pattern])
    return sorted((metadata.path, metadata.size_in_bytes) for metadata in match.metadata_list)


def _glob(pattern):
    """Returns what glob.glob returns, as a set, but ** follows no links to folders: one may lead to its own parent."""
    before, *after = re.split(r"(?:^|(?<=/))\*\*(?:/|$)", pattern, maxsplit=1)
    if not after:
        return set(glob.glob(pattern))
    folders = (folder for top in glob.glob(before or "./") for folder in _folders_below(top))
    return {
        path.removeprefix("" if before else "./")
        for folder in folders
        for path in _glob(os.path.join(glob.escape(folder), after[0] or "*"))
    }


def _folders_below(top):
    for folder, subfolders, _ in os.walk(top):
        # As by glob, hidden ones are left out.
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        yield folder


def _size(path):
    return Path(path).stat().st_size if Path(path).is_file() else None


def folder_of(pattern):
    """Returns what all paths of a pattern begin with, up to the last slash before its first wildcard."""
    return pattern[: re.search(r"[*?[]|$", pattern).start()].rpartition("/")[0] + "/" if "/" in pattern else ""


def find_images(path, size, folder):
    """Yields an ImageReference for each image in a file, which is an image or a TFRecord file by its name.

    Args:
        path, size: as `match_files` gives them.
        folder: what of the path is not part of the images' names.
    """
    name = path.removeprefix(folder)
    if not is_encodable(path):
        escaped = os.fsencode(name).decode(errors="backslashreplace")
        yield ImageReference(escaped, "", problem="a name that is not UTF-8")
    elif size is None:
        yield ImageReference(name, path, problem="not a file")
    elif _TFRECORD.fullmatch(path):
        yield from _find_records(path, size, name)
    else:
        yield ImageReference(name, path)


def _find_records(path, size, name):
    try:
        with _open(path) as file:
            offsets, damage = follow_records(file, size, path)
    except (UserError, BadImage) as error:
        yield ImageReference(name, path, problem=str(error).removeprefix(f"{path}: "))
        return
    if not size:
        yield ImageReference(name, path, problem="an empty file")
    for number, offset in enumerate(offsets.tolist()):
        place = f"{name}[{number}]"
        try:
            features = _read_features(path, offset)
        except BadImage as error:
            yield ImageReference(place, path, problem=str(error))
            continue
        source_id, file_name = (_text(features[f"image/{key}"]) for key in ("source_id", "filename"))
        yield ImageReference(file_name or source_id or place, path, offset, source_id, place=place)
    if damage:
        yield ImageReference(name, path, problem=damage)


def _text(feature):
    return b"".join(feature.bytes_list.value[:1]).decode(errors="replace")


def read_image(reference):
    """Reads the bytes of an image's file.

    Raises:
        BadImage: it cannot be read.
    """
    if reference.problem:
        raise BadImage(reference.problem)
    if reference.offset is not None:
        return b"".join(_read_features(reference.path, reference.offset)["image/encoded"].bytes_list.value[:1])
    with _open(reference.path) as file:
        return file.read()


@contextlib.contextmanager
def _open(path):
    try:
        with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            yield file
    except OSError as error:
        raise BadImage(error.strerror or str(error)) from None


def _read_features(path, offset):
    contents = _read_record(path, offset).numpy()
    try:
        features = tf.train.Example.FromString(contents).features.feature
    except DecodeError:
        raise BadImage("a record that is no tf.train.Example") from None
    if not contents:
        raise BadImage("a damaged record")
    return features


# Traced once in a process, however many files are read.
_read_record = tf.function(
    read_record, input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int64)], autograph=False
)
