"""The arrays of other programs' files, each to be taken exactly once."""

import numpy as np

from fcis_tf.errors import UserError


class SourceArrays:
    """Arrays by name; what nobody took is left over."""

    def __init__(self, arrays, path):
        """Takes a mapping from names to arrays, which may be read as they are asked for, and the file's path."""
        self._arrays = arrays
        self._path = path
        self._left = set(arrays)

    def __contains__(self, name):
        return name in self._arrays

    def shape(self, name):
        """Returns the shape of an array.

        Raises:
            UserError: there is none of this name.
        """
        return tuple(self._array(name).shape)

    def take(self, name, shape):
        """Returns an array, float32.

        Args:
            name: its name in the file.
            shape: what its shape has to be; an array of another one is not read.

        Raises:
            UserError: there is none of this name, or of another shape or no numbers, or they aren't all finite.
        """
        array = self._array(name)
        if tuple(array.shape) != tuple(shape):
            raise UserError(f"{self._path}: {name} has shape {tuple(array.shape)}; expected {tuple(shape)}")
        if array.dtype.kind not in "fiu":
            raise UserError(f"{self._path}: {name} has values of type {array.dtype}; expected numbers")
        self._left.discard(name)
        values = np.asarray(array).astype(np.float32)
        if not np.isfinite(values).all():
            raise UserError(f"{self._path}: {name} has values that are not finite")
        return values

    def ignore(self, name):
        """Leaves an array out on purpose."""
        self._left.discard(name)

    def left(self):
        """Returns the names that were neither taken nor ignored, sorted."""
        return sorted(self._left)

    def _array(self, name):
        if name not in self._arrays:
            raise UserError(f"{self._path}: has no array {name}")
        return self._arrays[name]
