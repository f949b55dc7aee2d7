"""Drawing examples at random."""

import tensorflow as tf


def random_subset(candidates, count, seed):
    """Draws `count` of each row's candidates, or all where there are fewer.

    Args:
        candidates: [N, A] bool.
        count: int32, scalar or [N].
        seed: [2] int32, of the stateless generator.

    Returns:
        [N, A] bool.
    """
    keys = tf.where(candidates, tf.random.stateless_uniform(tf.shape(candidates), seed), -1.0)
    order = tf.argsort(keys, axis=1, direction="DESCENDING")
    rank = tf.argsort(order, axis=1)
    return candidates & (rank < tf.reshape(count, [-1, 1]))
