"""Prints at which widths a convolution's gradients in bfloat16 are not finite, or are not those of float32.

Started by test_convolution.py, with memory that holds NaNs.
"""

import keras
import tensorflow as tf

from fcis_tf.models.convolution import Convolution

# All kinds of remainders, and those at which Keras's own convolution fails on processors with AMX.
WIDTHS = (1, 31, 32, 33, 63, 65, 91, 92, 94, 124, 156, 190, 220, 252)


def gradients_of(dtype, dilation, inputs, weights):
    layer = Convolution(64, 3, padding="same", dilation_rate=dilation, dtype=keras.DTypePolicy(dtype))
    layer.build(inputs.shape)
    layer.kernel.assign(weights)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = tf.reduce_sum(tf.cast(layer(inputs, training=True), tf.float32) ** 2)
    return tape.gradient(total, [inputs, layer.kernel.value])


for width in WIDTHS:
    for dilation in 1, 2:
        inputs = tf.random.stateless_normal([1, 40, width, 64], [0, width])
        weights = tf.random.stateless_normal([3, 3, 64, 64], [1, width]) / 24
        ours = gradients_of("mixed_bfloat16", dilation, inputs, weights)
        right = gradients_of("float32", dilation, inputs, weights)
        errors = [float(tf.norm(a - b) / tf.norm(b)) for a, b in zip(ours, right, strict=True)]
        if not all(error < 0.02 for error in errors):
            print(f"width {width}, dilation {dilation}: relative errors {errors}")
