"""The order of training images: a pure function of the seed and the position."""

import tensorflow as tf

# Scenes of an endless source are drawn from this many.
_ENDLESS = 2**62


def training_index(candidates, seed, position):
    """Picks the image at one position of the training order.

    Args:
        candidates: [n] int64, the images to train on, in a new permutation every n positions;
            None for an endless source, which is sampled at random.
        seed: the training's seed.
        position: int64 scalar, how many images come before.

    Returns:
        int64 scalar, an index into the source.
    """
    if candidates is None:
        return tf.random.stateless_uniform([], _seed_at(seed, position), 0, _ENDLESS, tf.int64)
    count = tf.size(candidates, tf.int64)
    epoch_seed = tf.stack([tf.constant(seed, tf.int64), position // count])
    return candidates[tf.random.experimental.index_shuffle(position % count, epoch_seed, count - 1)]


def training_flip(seed, position):
    """Decides whether the image at one position of the training order is flipped: a bool scalar."""
    return tf.random.stateless_uniform([], _seed_at(seed, position)) < 0.5


def _seed_at(seed, position):
    return tf.stack([tf.constant(seed, tf.int64), position])
