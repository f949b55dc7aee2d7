"""The convolution of training, against Keras's."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from fcis_tf.models.convolution import Convolution

INPUTS = tf.random.stateless_normal([2, 5, 6, 7], [0, 0])


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 1, "activation": "relu", "bias_initializer": "ones"},
        {"kernel_size": 1, "use_bias": False},
        {"kernel_size": 1, "strides": 2},
        {"kernel_size": 3, "padding": "same", "dilation_rate": 2},
    ],
)
def test_equals_keras_in_values_and_gradients(options):
    values = []
    for kind in Convolution, keras.layers.Conv2D:
        keras.utils.set_random_seed(0)
        layer = kind(4, **options)

        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 7])])
        def train(inputs, layer=layer):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                outputs = layer(inputs, training=True)
                total = tf.reduce_sum(outputs**2)
            return outputs, *tape.gradient(total, [inputs, *layer.trainable_variables])

        layer.build(INPUTS.shape)
        values.append(train(INPUTS))
    for ours, theirs in zip(*values, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def graph_operations(training):
    layer = Convolution(4, 1)
    layer.build(INPUTS.shape)
    graph = tf.function(lambda inputs: layer(inputs, training=training)).get_concrete_function(INPUTS).graph
    return {operation.type for operation in graph.get_operations()}


def test_is_a_matrix_product_in_training_only():
    assert "MatMul" in graph_operations(training=True) and "Conv2D" not in graph_operations(training=True)
    assert "Conv2D" in graph_operations(training=False)


def test_gradients_in_bfloat16_do_not_depend_on_what_memory_held_before(tmp_path):
    here, library = Path(__file__).parent, tmp_path / "stale_nan.so"
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", here / "stale_nan.c", "-o", library], check=True)
    environment = {**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": str(here.parent.parent)}
    program = [sys.executable, here / "stale_memory_program.py"]
    done = subprocess.run(program, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == ""
