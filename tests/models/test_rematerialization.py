"""Activations that are computed again: the same training step from less memory."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fcis_tf.models import AtrousResNet
from fcis_tf.models.atrous_resnet import BasicBlock, BottleneckBlock, Stem
from fcis_tf.models.precision import computing_in

IMAGES = tf.random.stateless_normal([2, 12, 15, 16], [0, 1])


def make_layer(kind, batch_norm, rematerialize, precision="float32"):
    """A layer for IMAGES, with the same weights each time."""
    keras.utils.set_random_seed(0)
    norm = {"trainable": batch_norm == "trained", "momentum": 0.5}
    with computing_in(precision):
        if kind is Stem:
            layer = Stem(norm, "end", rematerialize, name="layer")
        else:
            layer = kind(8, 2, 1, True, norm, rematerialize, name="layer")
        layer.build(IMAGES.shape)
    return layer


def gradients_of(layer, images):
    """Outputs, and gradients with respect to the images and the weights."""
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = layer(images, training=True)
        loss = tf.reduce_sum(tf.cast(outputs, tf.float32) ** 2)
    return [outputs, *tape.gradient(loss, [images, *layer.trainable_variables])]


def numbers(tensors):
    return [np.array(x.numpy(), np.float32) for x in tensors]


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("batch_norm", ["frozen", "trained"])
@pytest.mark.parametrize("kind", [Stem, BasicBlock, BottleneckBlock])
def test_outputs_gradients_and_statistics_are_the_same(kind, batch_norm, precision):
    expected, found = (make_layer(kind, batch_norm, again, precision) for again in (False, True))
    for a, b in zip(*(numbers(gradients_of(layer, IMAGES)) for layer in (expected, found)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [v.path for v in expected.variables] == [v.path for v in found.variables]
    variables = [numbers(layer.variables) for layer in (expected, found)]
    for a, b in zip(*variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_statistics_move_once():
    layer = make_layer(BottleneckBlock, "trained", rematerialize=True)
    gradients_of(layer, IMAGES)
    convolved = tf.nn.conv2d(IMAGES, layer.branch[0].convolution.kernel.value, 2, "VALID")
    mean = np.mean(convolved, axis=(0, 1, 2))
    np.testing.assert_allclose(layer.branch[0].norm.moving_mean.numpy(), 0.5 * mean, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch_norm", ["frozen", "trained"])
def test_under_a_strategy_and_for_images_of_any_size(batch_norm):
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    traced = []
    with strategy.scope():
        layers = [make_layer(BottleneckBlock, batch_norm, again) for again in (False, True)]

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 16])])
    def run(images):
        traced.append(images)
        return [strategy.run(gradients_of, (layer, images)) for layer in layers]

    for images in (IMAGES, IMAGES[:, :7, :9], IMAGES[:1]):
        expected, found = (numbers(gradients) for gradients in run(images))
        for a, b in zip(expected, found, strict=True):
            # Where no gradient needs what is between operators, TensorFlow fuses them, which rounds otherwise.
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(a).max())
    assert len(traced) == 1
    for a, b in zip(*(numbers(layer.variables) for layer in layers), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_takes_less_memory():
    def peak(again):
        """The most memory, in bytes, beyond that of the beginning."""
        norm = {"trainable": True, "momentum": 0.5}
        blocks = [BottleneckBlock(16, 1, 1, False, norm, again) for _ in range(4)]
        for block in blocks:
            block.build((None, None, None, 64))
        images = tf.zeros([1, 96, 96, 64])

        @tf.function
        def gradient(images):
            with tf.GradientTape() as tape:
                tape.watch(images)
                features = images
                for block in blocks:
                    features = block(features, training=True)
            return tf.reduce_sum(tape.gradient(features, images))

        gradient(images)
        tf.config.experimental.reset_memory_stats("CPU:0")
        before = tf.config.experimental.get_memory_info("CPU:0")["current"]
        gradient(images)
        return tf.config.experimental.get_memory_info("CPU:0")["peak"] - before

    # A block keeps the 16 channels of four tensors and the 64 of two, or the 64 of one.
    assert peak(True) < 0.7 * peak(False)


def test_frozen_stages_stay_frozen():
    trunk = AtrousResNet("resnet18", ("conv1", "conv2"), "frozen", rematerialize=True, name="backbone")
    trunk.build((None, None, None, 3))
    with tf.GradientTape() as tape:
        _, conv5 = trunk(tf.random.stateless_normal([1, 32, 32, 3], [0, 2]), training=True)
    gradients = tape.gradient(conv5, trunk.trainable_variables)
    assert {v.path.split("/")[1] for v in trunk.trainable_variables} == {"conv3", "conv4", "conv5"}
    assert "backbone/conv5/block1/projection/conv/kernel" in {v.path for v in trunk.variables}
    assert AtrousResNet.from_config(trunk.get_config()).stages[0].layers[0].rematerialize
    assert all(np.any(gradient.numpy()) for gradient in gradients)
