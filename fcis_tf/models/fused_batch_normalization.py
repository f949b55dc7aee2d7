"""Batch normalisation as one operator."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("fcis_tf")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation over the last of four axes, computing what Keras's layer computes.

    Keras composes its layer of element-wise operators, each of which reads and writes the whole feature map; on a CPU
    this one takes an eighth off a training step of the whole network. The moving variance is that of a sample (n - 1),
    as in the frameworks that the published weights come from.
    """

    def call(self, inputs, training=False):
        learns = training and self.trainable
        statistics = {} if learns else {"mean": self.moving_mean.value, "variance": self.moving_variance.value}
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            tf.convert_to_tensor(self.gamma),
            tf.convert_to_tensor(self.beta),
            epsilon=self.epsilon,
            is_training=learns,
            **statistics,
        )
        if learns:
            for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(self.momentum * moving + (1.0 - self.momentum) * value)
        return outputs
