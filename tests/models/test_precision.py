"""Mixed precision: the same network, computed in bfloat16."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fcis_tf.models import FCIS, AtrousResNet
from tests.tiny_config import tiny_config

CLASSES = 3


@pytest.fixture(scope="module")
def models():
    """Two networks of the same weights, the second one in mixed precision."""
    made = []
    for precision in ("float32", "mixed_bfloat16"):
        keras.utils.set_random_seed(0)
        made.append(FCIS(tiny_config().model.model_copy(update={"precision": precision}), CLASSES))
        made[-1](tf.zeros([1, 64, 64, 3]))
    # Score maps at their initial size would be lost among each other's rounding errors.
    for ours, theirs in zip(*(model.head.variables for model in made), strict=True):
        ours.assign(ours * 10)
        theirs.assign(ours)
    return made


@pytest.fixture
def images():
    return tf.random.stateless_normal([2, 80, 96, 3], [0, 0], stddev=60.0)


def parts_of(model, images, rois):
    maps = model.propose(images, training=True)
    outputs = model.assemble(maps, rois, tf.ones(tf.shape(rois)[:2], tf.int32))
    return {**{name: maps[name] for name in ("rpn_logits", "rpn_offsets")}, **outputs}


def test_convolutions_run_in_bfloat16_and_results_are_float32(models, images):
    for model, dtype in zip(models, (tf.float32, tf.bfloat16), strict=True):
        maps = model.propose(images)
        assert maps["score_maps"].dtype == maps["box_maps"].dtype == dtype
        assert all(features.dtype == dtype for features in model.backbone(images))
        assert all(value.dtype == tf.float32 for name, value in model(images).items() if value.dtype.is_floating
                   and name not in ("score_maps", "box_maps"))
        assert all(variable.dtype == "float32" for variable in model.variables)


def test_agrees_with_float32(models, images):
    rois = tf.constant([[[0.0, 0.0, 60.0, 50.0], [20.0, 10.0, 70.0, 90.0]]] * 2)
    exact, mixed = (parts_of(model, images, rois) for model in models)
    for name in exact:
        error = np.abs(exact[name] - mixed[name]).max()
        assert error <= 0.05 * np.abs(exact[name]).max(), name
    assert any(np.abs(exact[name] - mixed[name]).max() > 0 for name in exact)


def test_gradients_agree_with_float32(models, images):
    rois = tf.constant([[[0.0, 0.0, 60.0, 50.0]]] * 2)
    flat = []
    for model in models:
        with tf.GradientTape() as tape:
            loss = tf.add_n([tf.reduce_sum(value**2) for value in parts_of(model, images, rois).values()])
        gradients = tape.gradient(loss, model.trainable_variables)
        assert all(gradient.dtype == tf.float32 for gradient in gradients)
        flat.append(np.concatenate([np.ravel(gradient) for gradient in gradients]))
    cosine = np.dot(*flat) / np.prod([np.linalg.norm(gradient) for gradient in flat])
    assert cosine > 0.98


def test_leaves_kerass_own_policy_alone():
    before = keras.config.dtype_policy().name
    AtrousResNet("resnet18", dtype="mixed_bfloat16")
    assert keras.config.dtype_policy().name == before
