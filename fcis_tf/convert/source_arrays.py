"""The arrays of other programs' files, each to be taken exactly once."""

import numpy as np

from fcis_tf.errors import UserError


class SourceArrays:
    """Arrays by name; what nobody took is left over.

    Attributes:
        path: of the file, for messages.
    """

    def __init__(self, arrays, path):
        """Takes a mapping from names to arrays, which may be read as they are asked for, and the file's path."""
        self._arrays = arrays
        self.path = path
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
            raise UserError(f"{self.path}: {name} has shape {tuple(array.shape)}; expected {tuple(shape)}")
        if array.dtype.kind not in "fiu":
            raise UserError(f"{self.path}: {name} has values of type {array.dtype}; expected numbers")
        self._left.discard(name)
        with np.errstate(over="ignore"):
            values = np.asarray(array).astype(np.float32)
        if not np.isfinite(values).all():
            raise UserError(f"{self.path}: {name} has values that are not finite")
        return values

    def check_nothing_left(self):
        """Checks that every array was taken or ignored.

        Raises:
            UserError: some were not, as in a file of another network.
        """
        if self._left:
            some = ", ".join(f"{name!r:.60}" for name in sorted(self._left)[:3])
            count = f"{len(self._left)} arrays that have no place in the network, such as {some}"
            raise UserError(f"{self.path}: has {count}; expected a network as the section model describes it")

    def ignore_all(self, is_ignored):
        """Leaves out on purpose those arrays of whose names a function says so."""
        self._left -= {name for name in self._left if is_ignored(name)}

    def _array(self, name):
        if name not in self._arrays:
            raise UserError(f"{self.path}: has no array {name}")
        return self._arrays[name]
