"""The trunk, against the literature's numbers and keras.applications."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fcis_tf.models import AtrousResNet

# Parameters of torchvision's networks without their last, fully connected layer: published 11,689,512 and so on, less
# 1000 (C + 1). Convolutions: the number in the name without that layer, and the projections.
PUBLISHED = {
    "resnet18": (11_689_512 - 513_000, 17 + 3),
    "resnet34": (21_797_672 - 513_000, 33 + 3),
    "resnet50": (25_557_032 - 2_049_000, 49 + 4),
    "resnet101": (44_549_160 - 2_049_000, 100 + 4),
    "resnet152": (60_192_808 - 2_049_000, 151 + 4),
}


def layers_of(layer, kind):
    return [x for x in layer._flatten_layers() if isinstance(x, kind)]


def randomize_statistics(layer, seed=0):
    rng = np.random.default_rng(seed)
    for norm in layers_of(layer, keras.layers.BatchNormalization):
        for variable in (norm.gamma, norm.moving_variance):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        for variable in (norm.beta, norm.moving_mean):
            variable.assign(rng.uniform(-0.5, 0.5, variable.shape))


@pytest.fixture(scope="module")
def resnet18():
    keras.utils.set_random_seed(0)
    model = AtrousResNet("resnet18")
    model.build((None, None, None, 3))
    return model


@pytest.mark.parametrize("depth", PUBLISHED)
def test_has_the_published_number_of_parameters_and_convolutions(depth):
    parameters, convolutions = PUBLISHED[depth]
    model = AtrousResNet(depth)
    model.build((None, None, None, 3))
    assert sum(int(np.prod(variable.shape)) for variable in model.trainable_variables) == parameters
    assert len(layers_of(model, keras.layers.Conv2D)) == convolutions


@pytest.mark.parametrize("size", [(64, 96), (65, 95), (79, 81), (16, 33), (1, 3)])
def test_maps_have_stride_16_rounded_up(resnet18, size):
    expected = (2, -(-size[0] // 16), -(-size[1] // 16))
    conv4, conv5 = resnet18(tf.zeros([2, *size, 3]))
    assert conv4.shape == (*expected, 256) and conv5.shape == (*expected, 512)


def test_conv5_is_dilated_by_2(resnet18):
    features = tf.random.stateless_normal([1, 21, 21, 256], [0, 0])
    with tf.GradientTape() as tape:
        tape.watch(features)
        center = tf.reduce_sum(resnet18.stages[-1](features)[0, 10, 10])
    seen = (tape.gradient(center, features).numpy()[0] != 0).any(axis=-1)
    # Four 3x3 convolutions reach 4 * 2 cells far, and only to every second one.
    expected = np.zeros((21, 21), bool)
    expected[2:19:2, 2:19:2] = True
    np.testing.assert_array_equal(seen, expected)


def test_the_stem_pools_with_padding_on_the_right_and_bottom_only(resnet18):
    images = tf.random.stateless_normal([1, 32, 36, 3], [0, 1])
    kernel = resnet18.conv1.trainable_variables[0].value
    padded = np.pad(images, ((0, 0), (3, 3), (3, 3), (0, 0)))
    convolved = np.maximum(tf.nn.conv2d(padded, kernel, 2, "VALID") / np.sqrt(1 + 1e-5), 0)
    height, width = convolved.shape[1:3]
    assert (height, width) == (16, 18)
    expected = [
        [convolved[0, i : i + 3, j : j + 3].max(axis=(0, 1)) for j in range(0, width, 2)] for i in range(0, height, 2)
    ]
    np.testing.assert_allclose(resnet18.conv1(images)[0], expected, rtol=1e-4, atol=1e-5)


def test_equals_keras_applications_at_every_second_cell_of_conv5():
    """A dilated conv5 gives, between new values, the values of the published conv5 at stride 32."""
    keras.utils.set_random_seed(1)
    ours = AtrousResNet("resnet50")
    ours.build((None, None, None, 3))
    randomize_statistics(ours)
    published = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(None, None, 3))
    for stage, blocks in zip(ours.stages, (3, 4, 6, 3), strict=True):
        for i, block in enumerate(stage.layers, start=1):
            parts = {0: block.projection, **dict(enumerate(block.branch, start=1))}
            assert len(stage.layers) == blocks and (parts[0] is not None) == (i == 1)
            for part, layer in parts.items():
                if layer is None:
                    continue
                name = f"{stage.name}_block{i}_{part}"
                convolution = published.get_layer(f"{name}_conv")
                # The published network's convolutions have a bias, which BatchNorm makes superfluous.
                kernel, *statistics = (variable.value for variable in layer.weights)
                convolution.set_weights([kernel, np.zeros(kernel.shape[-1])])
                published.get_layer(f"{name}_bn").set_weights(statistics)
    layers = [published.get_layer(name).output for name in ("pool1_pool", "conv4_block6_out", "conv5_block3_out")]
    published = keras.Model(layers[0], layers[1:])

    images = tf.random.stateless_normal([1, 96, 128, 3], [0, 2], stddev=60.0)
    conv4, conv5 = ours(images)
    expected4, expected5 = published(ours.conv1(images))
    np.testing.assert_allclose(conv4, expected4, rtol=1e-3, atol=1e-3 * np.abs(expected4).max())
    np.testing.assert_allclose(conv5[:, ::2, ::2], expected5, rtol=1e-3, atol=1e-3 * np.abs(expected5).max())


def test_frozen_stages_and_frozen_statistics_are_not_trained():
    model = AtrousResNet("resnet18", frozen_stages=("conv1", "conv2"), batch_norm="frozen")
    model.build((None, None, None, 3))
    trained = {variable.path for variable in model.trainable_variables}
    assert trained and all(path.endswith("/kernel") for path in trained)
    assert {path.split("/")[1] for path in trained} == {"conv3", "conv4", "conv5"}
    assert {variable.path for variable in model.non_trainable_variables} | trained == {v.path for v in model.variables}


@pytest.mark.parametrize("batch_norm", ["frozen", "trained"])
def test_statistics_move_only_where_they_are_trained(batch_norm):
    model = AtrousResNet("resnet18", frozen_stages=("conv1", "conv2"), batch_norm=batch_norm, batch_norm_momentum=0.5)
    model.build((None, None, None, 3))
    images = tf.random.stateless_normal([2, 32, 32, 3], [0, 3], mean=5.0)
    before = [variable.numpy() for variable in model.variables]
    inference = model(images)
    training = model(images, training=True)
    moved = {
        variable.path.split("/")[1]
        for variable, old in zip(model.variables, before, strict=True)
        if not np.array_equal(variable.numpy(), old)
    }
    assert moved == ({"conv3", "conv4", "conv5"} if batch_norm == "trained" else set())
    assert np.allclose(inference[0], training[0]) == (batch_norm == "frozen")


def test_round_trips_through_its_configuration():
    model = AtrousResNet("resnet34", ("conv1",), "frozen", 0.9, name="trunk")
    copy = AtrousResNet.from_config(model.get_config())
    assert copy.get_config() == model.get_config() and copy.name == "trunk"
    assert [stage.trainable for stage in (copy.conv1, *copy.stages)] == [False, True, True, True, True]
