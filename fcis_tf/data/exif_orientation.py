"""The way up in which an image is to be seen, as cameras note it in the EXIF data of a file, in the graph.

Read are JPEG, PNG and WebP; GIF and BMP files have no EXIF data. An orientation in XMP data is not read.
"""

import functools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from fcis_tf.data.file_bytes import FileBytes, unsigned

# EXIF data stand among the first segments of a file, and somebody may have forged a chain of very many.
_MAX_SEGMENTS = 8
_HEADER_LENGTH = 12


class _Format(NamedTuple):
    """How a file is made of segments, each of which says how long it is.

    Attributes:
        magic: what the file begins with; "?" is any byte.
        first: where the first segment begins.
        weights: of the bytes that a segment begins with in its length.
        overhead: what this length leaves out.
        alignment: what the length is rounded up to a multiple of, 1 or 2.
        marker: what a segment of EXIF data begins with, in front of these.
    """

    magic: bytes
    first: int
    weights: tuple
    overhead: int
    alignment: int
    marker: bytes


_FORMATS = (
    _Format(b"\xff\xd8\xff", 2, (0, 0, 2**8, 1), 2, 1, b"\xff\xe1??Exif\0\0"),
    _Format(b"\x89PNG\r\n\x1a\n", 8, (2**24, 2**16, 2**8, 1), 12, 1, b"????eXIf"),
    _Format(b"RIFF????WEBP", 12, (0, 0, 0, 0, 1, 2**8, 2**16, 2**24), 8, 2, b"EXIF????"),
)


def _bytes(pattern):
    """Returns bytes as numbers, [_HEADER_LENGTH] int64, with -1 for any byte, "?" and all behind the pattern."""
    return np.array([-1 if byte == ord("?") else byte for byte in pattern.ljust(_HEADER_LENGTH, b"?")])


_FIRST, _OVERHEAD, _ALIGNMENT = np.array([[f.first, f.overhead, f.alignment] for f in _FORMATS]).T[..., None]
_WEIGHTS = np.array([np.pad(f.weights, (0, _HEADER_LENGTH - len(f.weights))) for f in _FORMATS])
_MAGIC = np.stack([_bytes(f.magic) for f in _FORMATS])
_MARKER = np.stack([_bytes(f.marker) for f in _FORMATS])
_MARKER_LENGTH = np.array([len(f.marker) for f in _FORMATS])

# What a TIFF file begins with, and its entry for the orientation: tag 0x0112, type 3, which is a number of two bytes.
_LITTLE_ENDIAN, _LITTLE_ENDIAN_ENTRY = _bytes(b"II*\0"), _bytes(b"\x12\x01\x03\0")
_BIG_ENDIAN, _BIG_ENDIAN_ENTRY = _bytes(b"MM\0*"), _bytes(b"\x01\x12\0\x03")


def read_orientation(contents):
    """Finds the EXIF orientation of an image.

    Args:
        contents: string scalar, the bytes of an image file, or any others.

    Returns:
        int32 scalar, 1 to 8, for `turn_upright`; 1, to be seen as stored, where the file says nothing that makes sense.
    """
    file = FileBytes(contents)
    return _orientation_in_tiff(file, _find_exif(file))


def turn_upright(image, orientation):
    """Turns and mirrors an image as its EXIF orientation says.

    Args:
        image: [H, W, C] tensor.
        orientation: int32 scalar, 1 to 8.

    Returns:
        [H, W, C] tensor, or from orientation 5 on [W, H, C].
    """
    return tf.switch_case(orientation - 1, [functools.partial(turn, image) for turn in _TURNS])


def upright_size(size, orientation):
    """Returns the size [2] (height, width) that `turn_upright` brings an image of a size to."""
    return tf.where(orientation < 5, size, tf.reverse(size, [0]))


def _transpose(image):
    return tf.transpose(image, [1, 0, 2])


_TURNS = (
    lambda image: image,
    lambda image: image[:, ::-1],
    lambda image: image[::-1, ::-1],
    lambda image: image[::-1],
    _transpose,
    lambda image: _transpose(image)[:, ::-1],
    lambda image: _transpose(image)[::-1, ::-1],
    lambda image: _transpose(image)[::-1],
)


def _find_exif(file):
    """Returns the position of the EXIF data, or of the end of the file without any.

    The file is read as of all formats at once, [F, ...]: control flow would take longer than these few operations.
    """
    headers, positions = [], [_FIRST]
    for _ in range(_MAX_SEGMENTS):
        headers.append(file.read(positions[-1], _HEADER_LENGTH))
        length = tf.reduce_sum(_WEIGHTS * headers[-1], axis=1, keepdims=True)
        positions.append(positions[-1] + _OVERHEAD + length + length % _ALIGNMENT)
    is_exif = _match(file.read(0, _HEADER_LENGTH), _MAGIC) & _match(tf.stack(headers), _MARKER)
    begins = tf.stack(positions[:-1])[..., 0] + _MARKER_LENGTH
    return tf.reduce_min(tf.where(is_exif, begins, file.length))


def _orientation_in_tiff(file, position):
    """Reads the orientation from EXIF data, which have the form of a TIFF file without pixels."""
    header = file.read(position, _HEADER_LENGTH)
    is_little, is_big = _match(header, _LITTLE_ENDIAN), _match(header, _BIG_ENDIAN)
    directory = position + unsigned(tf.where(is_little, header[4:8], header[7:3:-1]))
    count = file.read(directory, 2)
    count = tf.where(is_little | is_big, unsigned(tf.where(is_little, count, tf.reverse(count, [0]))), 0)
    entries = tf.reshape(file.read(directory + 2, _HEADER_LENGTH * count), [-1, _HEADER_LENGTH])
    is_orientation = _match(entries, tf.where(is_little, _LITTLE_ENDIAN_ENTRY, _BIG_ENDIAN_ENTRY))
    values = unsigned(tf.where(is_little, entries[:, 8:10], entries[:, 9:7:-1]))
    is_known = is_orientation & (values >= 1) & (values <= 8)
    # The first of several.
    return tf.cast(tf.concat([values[is_known], [1]], axis=0)[0], tf.int32)


def _match(values, pattern):
    return tf.reduce_all((values == pattern) | (pattern < 0), axis=-1)
