"""TFRecord files: where their records are, and reading one of them within a TensorFlow graph.

A record is its length in 8 bytes, a checksum of these, its contents, and a checksum of the contents.
"""

import struct

import numpy as np
import tensorflow as tf

from fcis_tf.data.image_file import first_success
from fcis_tf.errors import UserError

_HEADER = struct.Struct("<QI")
_FOOTER_BYTES = 4
_GZIP, _ZLIB = b"\x1f\x8b", b"\x78"
# CRC-32C, bits reversed, and the constant by which TFRecord masks it.
_POLYNOMIAL, _MASK = 0x82F63B78, 0xA282EAD8


def find_records(path):
    """Finds the records of a file without reading their contents.

    Args:
        path: pathlib.Path.

    Returns:
        offsets: [R] int64 NumPy array, where each record begins, up to the place where the file is damaged.
        damage: what is wrong with the file there, a string; None if it is whole.

    Raises:
        UserError: the file cannot be read or is no TFRecord file, or one that is compressed.
    """
    try:
        with open(path, "rb") as file:
            return follow_records(file, path.stat().st_size, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def follow_records(file, size, path):
    """Does what `find_records` does, for a file that is open: a binary one that can seek, of `size` bytes."""
    offsets, offset = [], 0
    while offset < size:
        file.seek(offset)
        header = file.read(_HEADER.size)
        length = _checked_length(header)
        if length is None and not offset:
            raise UserError(f"{path}: {_other_format(header)}")
        end = offset + _HEADER.size + (length or 0) + _FOOTER_BYTES
        # What lies behind the end of the file is never read, whatever length a header claims.
        if len(header) < _HEADER.size or end > size:
            return np.array(offsets, np.int64), f"ends in the middle of record {len(offsets)}"
        if length is None:
            return np.array(offsets, np.int64), f"is damaged from record {len(offsets)} on"
        offsets.append(offset)
        offset = end
    return np.array(offsets, np.int64), None


def _checked_length(header):
    """Returns the length that a header gives, or None if its checksum is wrong."""
    if len(header) < _HEADER.size:
        return None
    length, checksum = _HEADER.unpack(header)
    return length if _masked_checksum(header[:8]) == checksum else None


def _masked_checksum(contents):
    checksum = 0xFFFFFFFF
    for byte in contents:
        checksum ^= byte
        for _ in range(8):
            checksum = checksum >> 1 ^ (_POLYNOMIAL if checksum & 1 else 0)
    checksum ^= 0xFFFFFFFF
    return ((checksum >> 15 | checksum << 17) + _MASK) & 0xFFFFFFFF


def _other_format(header):
    if header.startswith((_GZIP, _ZLIB)):
        return "compressed records, which cannot be read one by one; expected TFRecord without compression"
    return "not a TFRecord file"


def read_record(path, offset):
    """Reads the contents of a record and checks them against their checksum, in the graph.

    Args:
        path: string scalar.
        offset: int64 scalar, where the record begins.

    Returns:
        String scalar; empty if the record is damaged.
    """

    def read(offset):
        # Without a buffer nothing is read but the record.
        records = tf.raw_ops.TFRecordDatasetV2(
            filenames=path[None], compression_type="", buffer_size=tf.constant(0, tf.int64), byte_offsets=offset[None]
        )
        contents = tf.data.experimental.from_variant(records, tf.TensorSpec([], tf.string))
        return contents.take(1).get_single_element()

    return first_success([read], offset, "")
