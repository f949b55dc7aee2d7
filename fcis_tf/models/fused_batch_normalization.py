"""Batch normalisation as one operator."""

import contextlib
import contextvars

import keras
import tensorflow as tf

_keeps_moving_statistics = contextvars.ContextVar("keeps_moving_statistics", default=False)


@contextlib.contextmanager
def keeping_moving_statistics(keeps=True):
    """Within this context training leaves the moving statistics as they are, if `keeps` is true.

    For a pass over a batch that has moved them before.
    """
    token = _keeps_moving_statistics.set(keeps)
    try:
        yield
    finally:
        _keeps_moving_statistics.reset(token)


@keras.saving.register_keras_serializable("fcis_tf")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation over the last of four axes, computing what Keras's layer computes.

    Keras composes its layer of element-wise operators, each of which reads and writes the whole feature map; on a CPU
    this one takes an eighth off a training step of the whole network. The moving variance is that of a sample (n - 1),
    as in the frameworks that the published weights come from.

    In training on several replicas the statistics are those of the images of all of them.
    """

    def call(self, inputs, training=False):
        learns = training and self.trainable
        if learns and tf.distribute.get_replica_context().num_replicas_in_sync > 1:
            outputs, mean, variance = self._normalize_over_replicas(inputs)
        else:
            statistics = {} if learns else {"mean": self.moving_mean.value, "variance": self.moving_variance.value}
            outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
                inputs,
                tf.convert_to_tensor(self.gamma),
                tf.convert_to_tensor(self.beta),
                epsilon=self.epsilon,
                is_training=learns,
                **statistics,
            )
        if learns and not _keeps_moving_statistics.get():
            for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(self.momentum * moving + (1.0 - self.momentum) * value)
        return outputs

    def _normalize_over_replicas(self, inputs):
        features = tf.cast(inputs, tf.float32)
        pixels = tf.cast(tf.size(features[..., 0]), tf.float32)
        sums = tf.concat([tf.reduce_sum(features, axis=(0, 1, 2)), pixels[None]], axis=0)
        sums = _sum_over_replicas(sums)
        pixels, mean = sums[-1], sums[:-1] / sums[-1]
        # Not the mean of squares less the square of the mean, which would lose digits.
        squares = _sum_over_replicas(tf.reduce_sum((features - mean) ** 2, axis=(0, 1, 2)))
        scale = self.gamma * tf.math.rsqrt(squares / pixels + self.epsilon)
        outputs = features * scale + (self.beta - mean * scale)
        return tf.cast(outputs, inputs.dtype), mean, squares / tf.maximum(pixels - 1.0, 1.0)


def _sum_over_replicas(values):
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)
