"""Bytes of a file as numbers, in the graph."""

import tensorflow as tf


class FileBytes:
    """The bytes of a file as numbers; behind its end it goes on with zeros.

    Args:
        contents: string scalar, the bytes of the file.

    Attributes:
        length: int64 scalar, how many they are.
    """

    def __init__(self, contents):
        self.length = tf.cast(tf.strings.length(contents), tf.int64)
        self._values = tf.pad(tf.io.decode_raw(contents, tf.uint8), [[0, 1]])

    def read(self, position, count):
        """Reads a few bytes.

        Args:
            position: int64 scalar, how many bytes to leave out, 0 or more; or several, [..., 1].
            count: how many bytes to read, an integer or int64 scalar.

        Returns:
            [count] or [..., count] int64, 0 to 255.
        """
        places = position + tf.range(tf.cast(count, tf.int64))
        return tf.cast(tf.gather(self._values, tf.minimum(places, self.length)), tf.int64)


def unsigned(values):
    """Returns the numbers that bytes make, the least significant first.

    Args:
        values: [..., B] int64, 0 to 255, with a B of 7 or less that is known when the graph is made.

    Returns:
        [...] int64.
    """
    return tf.reduce_sum(values * [256**place for place in range(values.shape[-1])], axis=-1)
