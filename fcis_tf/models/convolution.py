"""Convolution that trains fast on a CPU."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("fcis_tf")
class Convolution(keras.layers.Conv2D):
    """Keras's convolution, which computes 1x1 convolutions of stride 1 as matrix products in training.

    They are the same sums. On a CPU the gradient of a matrix product takes less than half the time of that of a 1x1
    convolution in bfloat16, and a fifth less in float32 where there are thousands of channels. At inference all stay
    convolutions, since TensorFlow folds batch normalisation into nothing else.
    """

    def call(self, inputs, training=False):
        if not training or self.kernel_size != (1, 1) or self.strides != (1, 1):
            return super().call(inputs)
        outputs = tf.tensordot(inputs, tf.convert_to_tensor(self.kernel)[0, 0], axes=1)
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, tf.convert_to_tensor(self.bias))
        return self.activation(outputs)
