"""The whole network."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fcis_tf.models import FCIS
from tests.tiny_config import tiny_config

CLASSES, ROIS, ANCHORS = 3, 20, 6


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    model = FCIS(tiny_config().model, CLASSES)
    model(tf.zeros([1, 64, 64, 3]))
    return model


@pytest.fixture
def images():
    return tf.random.stateless_normal([2, 80, 96, 3], [0, 0])


@pytest.mark.parametrize("second_pass, passes", [(False, 1), (True, 2)])
def test_outputs_have_the_promised_shapes(model, images, second_pass, passes):
    outputs = model(images, second_pass=second_pass)
    shapes = {name: tuple(value.shape) for name, value in outputs.items()}
    rois, cells = passes * ROIS, 5 * 6
    assert shapes == {
        "rois": (2, rois, 4),
        "rois_valid": (2, rois),
        "class_logits": (2, rois, CLASSES + 1),
        "mask_logits": (2, rois, 9, 9, 2),
        "box_offsets": (2, rois, 4),
        "rpn_logits": (2, cells * ANCHORS, 2),
        "rpn_offsets": (2, cells * ANCHORS, 4),
        "anchors": (cells * ANCHORS, 4),
        "proposals": (2, ROIS, 4),
        "proposals_valid": (2, ROIS),
        "score_maps": (2, 5, 6, 9 * (CLASSES + 1) * 2),
        "box_maps": (2, 5, 6, 9 * 4),
        "image_sizes": (2, 2),
    }
    np.testing.assert_array_equal(outputs["rois"][:, :ROIS], outputs["proposals"])
    np.testing.assert_array_equal(outputs["image_sizes"], [[80, 96]] * 2)


def test_the_second_pass_pools_the_rois_moved_by_their_offsets(model, images):
    sizes = np.int32([[80, 96], [61, 50]])
    outputs = {name: value.numpy() for name, value in model(images, sizes).items()}
    first, second = outputs["rois"][:, :ROIS], outputs["rois"][:, ROIS:]
    offsets = outputs["box_offsets"][:, :ROIS] * np.array([0.2, 0.2, 0.5, 0.5])
    size = first[..., 2:] - first[..., :2]
    center = first[..., :2] + size / 2 + offsets[..., :2] * size
    half = size * np.exp(offsets[..., 2:]) / 2
    expected = np.concatenate([center - half, center + half], axis=-1)
    expected = np.clip(expected, 0, np.tile(sizes, [1, 2])[:, None])
    np.testing.assert_allclose(second, expected, atol=1e-3)
    assert np.abs(second - first).max() > 1
    assert (outputs["rois_valid"][:, :ROIS] == outputs["rois_valid"][:, ROIS:]).all()


def test_proposals_stay_within_each_images_content(model, images):
    sizes = np.int32([[80, 96], [40, 70]])
    outputs = model.propose(images, sizes)
    for rois, valid, (height, width) in zip(outputs["proposals"], outputs["proposals_valid"], sizes, strict=True):
        rois = rois.numpy()[valid]
        assert len(rois) and (rois >= 0).all()
        assert (rois[:, 2] <= height).all() and (rois[:, 3] <= width).all()


def test_an_image_of_a_batch_gives_what_it_gives_alone(model, images):
    sizes = np.int32([[80, 96], [64, 90]])
    together = model(images, sizes)
    for i in range(2):
        alone = model(images[i : i + 1], sizes[i : i + 1])
        for name in ("rois", "rois_valid", "class_logits", "mask_logits", "box_offsets"):
            np.testing.assert_allclose(
                tf.cast(alone[name][0], tf.float32), tf.cast(together[name][i], tf.float32), rtol=1e-3, atol=1e-2
            )


def test_one_graph_serves_images_of_every_size(model, images):
    traces = []

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([None, 2], tf.int32)])
    def run(images, sizes):
        traces.append(1)
        return model(images, sizes)

    sizes = np.int32([[80, 96], [64, 90]])
    eager, graph = model(images, sizes), run(images, sizes)
    for name in ("rois", "class_logits", "mask_logits"):
        np.testing.assert_allclose(graph[name], eager[name], rtol=1e-3, atol=1e-2)
    for number, height, width in ((1, 64, 64), (3, 16, 112), (1, 50, 33)):
        outputs = run(tf.zeros([number, height, width, 3]), [[height, width]] * number)
        assert outputs["score_maps"].shape[:3] == (number, -(-height // 16), -(-width // 16))
    assert len(traces) == 1


def test_maps_for_regions_from_elsewhere_are_those_with_proposals(model, images):
    maps, expected = model.compute_maps(images), model.propose(images)
    assert set(maps) == {"score_maps", "box_maps"}
    for name, values in maps.items():
        np.testing.assert_array_equal(values, expected[name])


def test_class_logits_do_not_depend_on_the_class_whose_mask_is_wanted(model, images):
    maps = model.propose(images)
    best = model.assemble(maps, maps["proposals"])
    labels = 1 + tf.argmax(best["class_logits"][..., 1:], axis=-1, output_type=tf.int32)
    named = model.assemble(maps, maps["proposals"], labels)
    other = model.assemble(maps, maps["proposals"], labels % CLASSES + 1)
    np.testing.assert_array_equal(best["mask_logits"], named["mask_logits"])
    np.testing.assert_array_equal(best["class_logits"], other["class_logits"])
    assert np.abs(best["mask_logits"] - other["mask_logits"]).max() > 0
