"""Drawing examples at random."""

import enum

import tensorflow as tf


class Draw(enum.IntEnum):
    """What examples are drawn for; the lower numbers are those of the data's own draws for an image."""

    FOREGROUND_ANCHORS = 16
    BACKGROUND_ANCHORS = 17
    FOREGROUND_ROIS = 18
    BACKGROUND_ROIS = 19


def image_seeds(seed, positions):
    """Returns the seeds [N, 2] int64 of a batch's images.

    They depend on an image's position in the training order alone, so that an image is treated alike in whatever batch,
    replica or worker it is.

    Args:
        seed: the training's seed.
        positions: [N] int64, see `fcis_tf.data.training_batches`.
    """
    return tf.stack([tf.fill(tf.shape(positions), tf.constant(seed, tf.int64)), positions], axis=1)


def random_subset(candidates, count, seeds, draw):
    """Draws `count` of each row's candidates, or all where there are fewer.

    Args:
        candidates: [N, A] bool.
        count: int32, scalar or [N].
        seeds: [N, 2] integers, of the rows.
        draw: a Draw; different ones are independent.

    Returns:
        [N, A] bool.
    """
    draw = tf.constant(draw, tf.int64)

    def uniform(seed):
        return tf.random.stateless_uniform(tf.shape(candidates)[1:], tf.random.fold_in(seed, draw))

    drawn = tf.map_fn(uniform, tf.cast(seeds, tf.int64), fn_output_signature=tf.TensorSpec([None], tf.float32))
    order = tf.argsort(tf.where(candidates, drawn, -1.0), axis=1, direction="DESCENDING")
    rank = tf.argsort(order, axis=1)
    return candidates & (rank < tf.reshape(count, [-1, 1]))
