"""Weights as constants."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fcis_tf.inference import Predictor, frozen_weights
from fcis_tf.model_directory import build_model
from tests.tiny_config import tiny_config


def test_weights_are_those_of_the_time_of_tracing():
    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    layer.build([None, 2])

    @tf.function
    def frozen(x):
        with frozen_weights(layer):
            return layer(x)

    function = frozen.get_concrete_function(tf.TensorSpec([None, 2]))
    layer.kernel.assign([[5.0], [7.0]])
    assert not function.captured_inputs
    np.testing.assert_array_equal(function(tf.constant([[2.0, 3.0]])), [[5.0]])
    np.testing.assert_array_equal(layer(tf.constant([[2.0, 3.0]])), [[31.0]])


def test_several_networks():
    layers = [keras.layers.Dense(1, use_bias=False, kernel_initializer="ones") for _ in range(2)]
    for layer in layers:
        layer.build([None, 2])

    @tf.function
    def frozen(x):
        with frozen_weights(*layers):
            return layers[0](x) + 10 * layers[1](x)

    function = frozen.get_concrete_function(tf.TensorSpec([None, 2]))
    assert not function.captured_inputs
    np.testing.assert_array_equal(function(tf.constant([[2.0, 3.0]])), [[55.0]])


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_a_frozen_network_finds_the_same(precision):
    keras.utils.set_random_seed(0)
    config = tiny_config(model={"precision": precision}, inference={"score_threshold": 0.0})
    model = build_model(config, 3)
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    expected = Predictor(model, config).predict(image)
    predictor = Predictor(model, config, freeze=True)
    found = predictor.predict(image)
    assert len(found.scores) > 0
    np.testing.assert_array_equal(found.classes, expected.classes)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3 if precision == "mixed_bfloat16" else 1e-6)
    for variable in model.variables:
        variable.assign(variable * 0)
    np.testing.assert_array_equal(predictor.predict(image).masks, found.masks)
