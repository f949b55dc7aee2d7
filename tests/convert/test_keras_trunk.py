"""keras.applications' weights in our trunk: the same features, and errors for files that are something else."""

import zipfile

import h5py
import keras
import numpy as np
import pytest

from fcis_tf.convert.assign import assign
from fcis_tf.convert.keras_trunk import keras_trunk_values
from fcis_tf.errors import UserError
from fcis_tf.model_directory import build_model
from fcis_tf.models.atrous_resnet import AtrousResNet
from tests.tiny_config import tiny_config

CONFIG = tiny_config(model={"backbone": "resnet50", "stem_padding": "both", "batch_norm": "frozen"})


def randomized(network):
    """Draws weights and statistics that keep activations in range."""
    rng = np.random.default_rng(0)
    for layer in network.layers:
        for weight in layer.weights:
            shape = weight.shape
            values = {
                "kernel": lambda shape=shape: rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape),
                "bias": lambda shape=shape: rng.normal(0, 0.5, shape),
                "gamma": lambda shape=shape: rng.uniform(0.7, 1.3, shape),
                "beta": lambda shape=shape: rng.normal(0, 0.1, shape),
                "moving_mean": lambda shape=shape: rng.normal(0, 0.5, shape),
                "moving_variance": lambda shape=shape: rng.uniform(0.7, 1.5, shape),
            }[weight.name]()
            # Else activations would grow from block to block.
            small = {"conv1_conv/kernel": 0.02}.get(f"{layer.name}/{weight.name}", 1)
            weight.assign(values * (0.3 if "_3_bn" in layer.name and weight.name == "gamma" else small))
    return network


@pytest.fixture(scope="module")
def network():
    return randomized(keras.applications.ResNet50(include_top=False, weights=None))


@pytest.fixture(scope="module")
def model():
    return build_model(CONFIG, 2)


@pytest.mark.parametrize("name", ["resnet50.weights.h5", "resnet50.h5", "resnet50.keras"])
def test_features_equal_those_of_keras(network, model, tmp_path, name):
    path = tmp_path / name
    (network.save_weights if ".weights." in name else network.save)(path)
    values = keras_trunk_values(model, CONFIG.model, path)
    trunk = {variable.path for variable in model.variables if "/backbone/" in variable.path}
    assert set(values) == trunk
    assign(model, values)

    # As Keras builds it: no dilation.
    backbone = AtrousResNet("resnet50", batch_norm="frozen", stem_padding="both", output_stride=32, name="backbone")
    images = np.random.default_rng(1).uniform(-100, 150, (1, 75, 90, 3)).astype(np.float32)
    backbone(images)
    for ours, theirs in zip(backbone.variables, model.backbone.variables, strict=True):
        ours.assign(theirs)
    conv4, conv5 = backbone(images)
    outputs = [network.get_layer(f"{name}_out").output for name in ("conv4_block6", "conv5_block3")]
    expected4, expected5 = keras.Model(network.input, outputs)(images[..., ::-1])
    assert np.abs(expected5).max() > 1
    np.testing.assert_allclose(conv4, expected4, atol=1e-3)
    np.testing.assert_allclose(conv5, expected5, atol=1e-3)


def test_classifier_is_left_out(network, model, tmp_path):
    whole = keras.applications.ResNet50(weights=None)
    path = tmp_path / "whole.weights.h5"
    whole.save_weights(path)
    values = keras_trunk_values(model, CONFIG.model, path)
    kernel = whole.get_layer("conv5_block3_3_conv").kernel
    np.testing.assert_array_equal(values["fcis/backbone/conv5/block3/c/conv/kernel"], kernel)


def message(model, config, path):
    with pytest.raises(UserError) as error:
        keras_trunk_values(model, config.model, path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_trunk_that_keras_does_not_have_and_other_padding(model, tmp_path):
    small = tiny_config(model={"stem_padding": "both"})
    assert message(model, small, None) == (
        "init: imagenet: Keras has no weights of resnet18; expected resnet50, resnet101, resnet152"
    )
    assert "set it so" in message(model, tiny_config(model={"backbone": "resnet50"}), None)


def test_files_that_are_something_else(network, model, tmp_path):
    good = tmp_path / "good.weights.h5"
    network.save_weights(good)
    truncated, text, other = (tmp_path / name for name in ("cut.weights.h5", "text.h5", "other.weights.h5"))
    truncated.write_bytes(good.read_bytes()[:100_000])
    text.write_text("hello")
    keras.Sequential([keras.Input([4]), keras.layers.Dense(3)]).save_weights(other)
    assert "no such file" in message(model, CONFIG, tmp_path / "missing.h5")
    for path in (truncated, text, other):
        assert message(model, CONFIG, path).startswith(f"init: {path}: not Keras's weights of resnet50")


def test_announced_sizes_are_not_believed(model, tmp_path):
    path = tmp_path / "huge.weights.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("kernel", shape=(2**50,), dtype="f4", chunks=(1024,))
    assert "more than the file has" in message(model, CONFIG, path)
    with h5py.File(path, "w") as file:
        file["kernel"] = h5py.ExternalLink("other.h5", "/kernel")
    assert "is a link to another place" in message(model, CONFIG, path)
    with h5py.File(path, "w") as file:
        file.create_dataset("kernel", (4,), "f4", external=[(tmp_path / "other.bin", 0, 16)])
    assert "is kept in another file" in message(model, CONFIG, path)
    with h5py.File(path, "w") as file:
        file.attrs["weight_names"] = [b"kernel"] * 2000
    assert "a list of 2000 names" in message(model, CONFIG, path)
    archive = tmp_path / "bomb.keras"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("model.weights.h5", bytes(10**7))
    assert "more than it has" in message(model, CONFIG, archive)
