"""The learning rate over time."""

import keras
import tensorflow as tf


def effective_schedule(config):
    """Returns the learning rate that a training uses.

    The loss is the mean over all images of a step, whatever replicas they are on, so that devices do not change the
    learning rate; the number of images does: a step of n times the images takes n times the rate (the linear scaling
    rule, Goyal et al. 2017). `learning_rate.images_per_step` says for how many images a step the configured values are
    meant; they are taken as they stand where it is null.

    Args:
        config: a `fcis_tf.config.TrainingConfig`.

    Returns:
        A PiecewiseConstantWithWarmup.
    """
    rate = config.learning_rate
    factor = config.images_per_step / rate.images_per_step if rate.images_per_step else 1.0
    return PiecewiseConstantWithWarmup(
        [factor * value for value in rate.values], rate.boundaries, rate.warmup_steps, factor * rate.warmup_start
    )


@keras.saving.register_keras_serializable("fcis_tf")
class PiecewiseConstantWithWarmup(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly from `warmup_start` to the first value, then falls at every boundary.

    Args:
        values: learning rates.
        boundaries: steps; values[i] holds before boundaries[i], the last value to the end.
        warmup_steps: length of the rise, 0 for none.
        warmup_start: learning rate of step 0, when there is a rise.
    """

    def __init__(self, values, boundaries, warmup_steps=0, warmup_start=0.0):
        self.config = {
            "values": tuple(values),
            "boundaries": tuple(boundaries),
            "warmup_steps": warmup_steps,
            "warmup_start": warmup_start,
        }

    def __call__(self, step):
        values = tf.constant(self.config["values"], tf.float32)
        passed = tf.cast(step, tf.float32) >= tf.constant(self.config["boundaries"], tf.float32)
        rate = tf.gather(values, tf.reduce_sum(tf.cast(passed, tf.int32)))
        if not self.config["warmup_steps"]:
            return rate
        progress = tf.minimum(tf.cast(step, tf.float32) / self.config["warmup_steps"], 1.0)
        return self.config["warmup_start"] + (rate - self.config["warmup_start"]) * progress

    def get_config(self):
        return self.config
