"""The images that a training run had to do without."""

import logging

import tensorflow as tf

from fcis_tf.data import describe_data_error
from fcis_tf.data.problems import Problems
from fcis_tf.printable import printable

_logger = logging.getLogger(__name__)


class SkippedImages:
    """Warns of each image that cannot be read, once, and counts them.

    Args:
        source: of `load_dataset`, the training data.
    """

    def __init__(self, source):
        self._source = source
        self._indices = set()
        self._problems = Problems(source.name, strict=False)

    def report(self, indices):
        """Takes note of a batch's images that were skipped.

        Args:
            indices: [N] integers, the key `skipped` of a batch: -1 stands for none.
        """
        for index in set(map(int, indices)) - self._indices - {-1}:
            self._indices.add(index)
            problem = self._describe(index)
            _logger.warning("%s: skipped %s", self._source.name, printable(problem))
            self._problems.report("images that cannot be read", problem)

    def summary(self):
        """Returns one line about all images that were skipped, or None without any."""
        return self._problems.summary()

    def _describe(self, index):
        """Reads an image once more, to learn what is wrong with it."""
        # A dataset's errors are those that can be described.
        examples = tf.data.Dataset.from_tensors(tf.constant(index, tf.int64)).map(self._source.example)
        try:
            examples.get_single_element()
        except tf.errors.OpError as error:
            return describe_data_error(error) or f"image number {index}: {error.message.splitlines()[0]}"
        return f"image number {index}: could not be read at first"
