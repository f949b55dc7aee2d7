"""MXNet's files of parameters (.params), read without MXNet.

Such a file is a list of arrays and a list of their names, little-endian: a magic number, a reserved one, the number of
arrays, each array with its own magic number, shape, device, type and values, then the number of names, each with its
length. Nothing is read or allocated before the file has been seen to be long enough for it.
"""

import math
import mmap
import struct

import numpy as np

from fcis_tf.convert.weight_file import check_weight_file
from fcis_tf.errors import UserError

SUFFIX = ".params"

_LIST_MAGIC = 0x112

# Of an array; the second kind says how it is stored, the third is written under NumPy's semantics of shapes.
_VERSION_1, _VERSION_2, _VERSION_3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA

_DENSE = 0

# MXNet's numbers of types.
_TYPES = {0: "<f4", 1: "<f8", 2: "<f2", 3: "u1", 4: "<i4", 5: "i1", 6: "<i8"}

_MOST_DIMENSIONS = 32
# Networks have hundreds; each costs memory, also without a value.
_MOST_ARRAYS = 10_000


class _Damaged(Exception):
    """What is wrong with a file."""


def read_mxnet_params(path):
    """Reads a file of MXNet's parameters.

    Args:
        path: of a file that mx.nd.save or mx.model.save_checkpoint wrote: fcis_coco-0000.params and the like.

    Returns:
        A dict from names, such as "arg:conv1_weight" and "aux:bn_conv1_moving_mean", to NumPy arrays.

    Raises:
        UserError: the file cannot be read or isn't such a file, or is damaged.
    """
    check_weight_file(path)
    try:
        with open(path, "rb") as file:
            # Only what the arrays are asked for comes into memory.
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return _read_list(_Reader(content))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (_Damaged, ValueError) as problem:
        raise UserError(f"{path}: not a file of MXNet's parameters that can be read: {problem}") from None


class _Reader:
    """Takes values from bytes, one after the other."""

    def __init__(self, content):
        self._content = content
        self._position = 0

    def take(self, count):
        """Returns the next bytes."""
        if count > len(self._content) - self._position:
            raise _Damaged(f"of {count} bytes from {self._position} on it has {len(self._content) - self._position}")
        start, self._position = self._position, self._position + count
        return memoryview(self._content)[start : self._position]

    def numbers(self, code, count=1):
        """Returns the next numbers, of a type by its code in the module struct."""
        return struct.unpack(f"<{count}{code}", self.take(struct.calcsize(f"<{code}") * count))

    def number(self, code):
        return self.numbers(code)[0]

    @property
    def ended(self):
        return self._position == len(self._content)


def _read_list(reader):
    magic, _ = reader.numbers("Q", 2)
    if magic != _LIST_MAGIC:
        raise _Damaged(f"it begins with {magic:#x}, expected {_LIST_MAGIC:#x}")
    arrays = [_read_array(reader) for _ in range(_checked_count(reader))]
    names = [_read_name(reader) for _ in range(_checked_count(reader))]
    if not reader.ended:
        raise _Damaged("there are bytes behind its end")
    if len(names) != len(arrays) or len(set(names)) < len(names):
        raise _Damaged(f"it has {len(set(names))} names for {len(arrays)} arrays")
    return dict(zip(names, arrays, strict=True))


def _checked_count(reader):
    count = reader.number("Q")
    if count > _MOST_ARRAYS:
        raise _Damaged(f"it announces {count} arrays or names; expected at most {_MOST_ARRAYS}")
    return count


def _read_name(reader):
    try:
        return bytes(reader.take(reader.number("Q"))).decode()
    except UnicodeDecodeError:
        raise _Damaged("a name in it is not text") from None


def _read_array(reader):
    version = reader.number("I")
    if version in (_VERSION_2, _VERSION_3) and reader.number("i") != _DENSE:
        raise _Damaged("it has a sparse array; expected dense ones")
    if version in (_VERSION_1, _VERSION_2, _VERSION_3):
        shape = reader.numbers("q", _check_dimensions(reader.number("i")))
    else:
        # The oldest format has no version: the number of dimensions comes first.
        shape = reader.numbers("I", _check_dimensions(version))
    if not shape:
        raise _Damaged("it has an array without a shape")
    if min(shape) < 0:
        raise _Damaged(f"it has an array of shape {shape}")
    _device = reader.numbers("i", 2)
    type_number = reader.number("i")
    if type_number not in _TYPES:
        raise _Damaged(f"it has an array of type {type_number}, which is unknown")
    dtype = np.dtype(_TYPES[type_number])
    return np.frombuffer(reader.take(math.prod(shape) * dtype.itemsize), dtype).reshape(shape)


def _check_dimensions(count):
    if not 0 <= count <= _MOST_DIMENSIONS:
        raise _Damaged(f"it has an array of {count:#x} dimensions")
    return count
