"""The order of training images, batch after batch: a pure function of the seed and the position.

Position p is place p % N of the batch of N images of step p // N.
"""

import numpy as np
import tensorflow as tf

from fcis_tf.errors import UserError

# Scenes of an endless source are drawn from this many.
_ENDLESS = 2**62


def training_order(source, batch_size, seed):
    """Returns the order of a source's images for training.

    Args:
        source: of `load_dataset`.
        batch_size: images per batch, N.
        seed: the training's seed.

    Returns:
        An EpochOrder, or a RandomOrder of an endless source.

    Raises:
        UserError: no image of the source has an instance to learn from.
    """
    if source.size is None:
        return RandomOrder(seed)
    candidates = source.training_indices
    if not len(candidates):
        raise UserError(f"{source.name}: no image has an instance to learn from; python -m fcis_tf.data.check says why")
    height, width = source.sizes[candidates].T
    return EpochOrder(candidates[height <= width], candidates[height > width], batch_size, seed)


def draw_seed(seed, purpose, number):
    """Returns the seed, [2] int64, of a random draw.

    Args:
        seed: the training's seed.
        purpose: an integer; draws for different purposes are independent.
        number: int64 scalar, the position or the step that the draw is for.
    """
    return tf.random.experimental.stateless_fold_in(tf.stack([tf.constant(seed, tf.int64), number]), purpose)


class RandomOrder:
    """Images of an endless source, drawn at random."""

    def __init__(self, seed):
        self._seed = tf.constant(seed, tf.int64)

    def index(self, position, shift=0):
        """Returns the image at a position, or at one `shift` positions further: int64 scalars all of them."""
        seed = tf.stack([self._seed, position + shift])
        return tf.random.stateless_uniform([], seed, 0, _ENDLESS, tf.int64)


class EpochOrder:
    """Batches of images of like shape, so that they need little padding.

    An epoch is a sequence of places, cut into batches, which come in random order: first the larger of two groups, the
    images in landscape and those in portrait format, in a random permutation; then as many images of the same group
    once more, from the permutation's start, as it takes to make whole batches; then the other group in a random
    permutation. Hence every epoch has every image, and one mixed batch at most.
    """

    def __init__(self, landscape, portrait, batch_size, seed):
        """Takes the groups, [n] int64 each, of which one may be empty, the images per batch and the seed."""
        small, large = sorted([landscape, portrait], key=len)
        self.batches_per_epoch = -(-(len(large) + len(small)) // batch_size)
        self._images = tf.constant(np.concatenate([large, small]), tf.int64)
        self._large, self._small = len(large), len(small)
        self._places = self.batches_per_epoch * batch_size
        self._batch_size = batch_size
        self._seed = tf.constant(seed, tf.int64)

    def index(self, position, shift=0):
        """Returns an image.

        Args:
            position: int64 scalar.
            shift: int64 scalar, how many places further in the same epoch; at its end it goes on from its start.

        Returns:
            int64 scalar, an index into the source.
        """
        step, place = position // self._batch_size, position % self._batch_size
        epoch = step // self.batches_per_epoch
        batch = self._permute(step % self.batches_per_epoch, self.batches_per_epoch, epoch, 0)
        place = (batch * self._batch_size + place + shift) % self._places
        first_small = self._places - self._small
        row = tf.cond(
            place < first_small,
            lambda: self._permute(place % self._large, self._large, epoch, 1),
            lambda: self._large + self._permute(place - first_small, self._small, epoch, 2),
        )
        return self._images[row]

    def _permute(self, number, count, epoch, purpose):
        """Returns where a number from 0 to count - 1 goes in an epoch's permutation for one of three purposes."""
        return tf.random.experimental.index_shuffle(number, tf.stack([self._seed, 3 * epoch + purpose]), count - 1)
