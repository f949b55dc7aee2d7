"""Batch normalisation as one operator, against Keras's layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fcis_tf.models.fused_batch_normalization import FusedBatchNormalization

SHAPE = (3, 4, 5, 6)
KINDS = FusedBatchNormalization, keras.layers.BatchNormalization


def make_pair(**options):
    """The layer and Keras's, with the same random variables."""
    rng = np.random.default_rng(0)
    layers = [kind(epsilon=1e-3, momentum=0.7, **options) for kind in KINDS]
    for layer in layers:
        layer.build(SHAPE)
    for ours, theirs in zip(*(layer.variables for layer in layers), strict=True):
        values = rng.uniform(0.5, 1.5, ours.shape)
        ours.assign(values)
        theirs.assign(values)
    return layers


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("trainable", [False, True])
def test_equals_keras_in_values_gradients_and_statistics(training, trainable):
    layers = make_pair(trainable=trainable)
    inputs = tf.random.stateless_normal(SHAPE, [0, 0], mean=2.0, stddev=3.0)
    upstream = tf.random.stateless_normal(SHAPE, [0, 1])
    outputs, gradients = [], []
    for layer in layers:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs.append(layer(inputs, training=training))
        gradients.append(tape.gradient(outputs[-1], [inputs, *layer.trainable_variables], upstream))
    np.testing.assert_allclose(*outputs, atol=1e-4)
    assert len(gradients[0]) == (3 if trainable else 1)
    for ours, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)

    ours, theirs = layers
    np.testing.assert_allclose(ours.moving_mean, theirs.moving_mean, atol=1e-5)
    count = np.prod(SHAPE[:3])
    expected = theirs.moving_variance.numpy()
    if training and trainable:
        # Keras's moving variance is that of the values, ours that of a sample.
        kept = 0.7 * make_pair()[0].moving_variance.numpy()
        expected = kept + (expected - kept) * count / (count - 1)
    np.testing.assert_allclose(ours.moving_variance, expected, rtol=1e-4)


def test_one_cell_alone_gives_finite_statistics():
    layer, _ = make_pair()
    outputs = layer(tf.ones([1, 1, 1, 6]), training=True)
    assert np.isfinite(outputs).all() and np.isfinite(layer.moving_variance).all()


def test_keeps_the_type_of_its_input():
    layer, theirs = (kind(dtype="mixed_bfloat16") for kind in KINDS)
    inputs = tf.cast(tf.random.stateless_normal(SHAPE, [0, 2]), tf.bfloat16)
    assert layer(inputs, training=True).dtype == theirs(inputs, training=True).dtype == tf.bfloat16


def test_round_trips_through_its_configuration():
    layer = FusedBatchNormalization(momentum=0.5, name="norm")
    assert FusedBatchNormalization.from_config(layer.get_config()).get_config() == layer.get_config()
