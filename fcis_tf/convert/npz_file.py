"""NumPy's archives of arrays (.npz), read without trusting them: no pickles, and no memory before it is earned."""

import contextlib
import math
import zipfile
from collections.abc import Mapping

import numpy as np

from fcis_tf.convert.weight_file import check_weight_file
from fcis_tf.errors import UserError

_FORMAT = np.lib.format
# In which headers take 64 KiB at most; later ones are for arrays with named fields.
_VERSION = (1, 0)
_SUFFIX = ".npy"
_NOT_AN_ARCHIVE = "not an archive of NumPy arrays that can be read"


class NpzFile(Mapping):
    """The arrays of an archive by name; each is a LazyArray."""

    def __init__(self, path):
        """Opens an archive.

        Args:
            path: of an .npz file.

        Raises:
            UserError: it cannot be read or isn't such a file.
        """
        check_weight_file(path)
        self._path = path
        try:
            self._archive = zipfile.ZipFile(path)
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from None
        except Exception as error:
            raise UserError(f"{path}: {_NOT_AN_ARCHIVE}: {error}") from None
        members = self._archive.infolist()
        self._members = {member.filename.removesuffix(_SUFFIX): member for member in members}
        if len(self._members) < len(members):
            raise UserError(f"{path}: {_NOT_AN_ARCHIVE}: two of its arrays have the same name")

    def __iter__(self):
        return iter(self._members)

    def __len__(self):
        return len(self._members)

    def __getitem__(self, name):
        return LazyArray(self._archive, self._members[name], self._path)


class LazyArray:
    """An array of an archive, of which only the header was read.

    Attributes:
        shape: tuple of integers.
        dtype: NumPy's, never of objects.
    """

    def __init__(self, archive, member, path):
        """Reads the header.

        Args:
            archive: zipfile.ZipFile.
            member: zipfile.ZipInfo of the array.
            path: of the archive, for messages.

        Raises:
            UserError: it is no array, or one of objects, or announces another size than it has.
        """
        self._archive, self._member = archive, member
        self._where = f"{path}: {member.filename}"
        with self._opened() as file:
            self.shape, self._fortran_order, self.dtype = self._read_header(file)
            size = math.prod(self.shape) * self.dtype.itemsize
            if member.file_size != file.tell() + size:
                raise ValueError(f"{member.file_size} bytes for an array of shape {self.shape}")

    def __array__(self, dtype=None, copy=None):
        """Reads the values."""
        with self._opened() as file:
            self._read_header(file)
            values = np.frombuffer(file.read(math.prod(self.shape) * self.dtype.itemsize), self.dtype)
            values = values.reshape(self.shape, order="F" if self._fortran_order else "C")
        return values if dtype is None else values.astype(dtype)

    def _read_header(self, file):
        version = _FORMAT.read_magic(file)
        if version != _VERSION:
            raise ValueError(f"version {version} of the format")
        shape, fortran_order, dtype = _FORMAT.read_array_header_1_0(file)
        if dtype.hasobject:
            raise ValueError("its values are pickled objects")
        if min(shape, default=0) < 0:
            raise ValueError(f"a shape of {shape}")
        return shape, fortran_order, dtype

    @contextlib.contextmanager
    def _opened(self):
        """Opens the member as a file; errors of reading it name it."""
        try:
            with self._archive.open(self._member) as file:
                yield file
        except Exception as error:
            # Of a forged file the parsers of archives and headers raise whatever they run into.
            problem = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"{self._where}: not an array that can be read: {problem}") from None
