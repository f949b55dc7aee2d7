"""Regions scored in several views, against a plain reading that assembles everything everywhere."""

import numpy as np
import pytest
import tensorflow as tf

from fcis_tf.data import pad_image, prepare_image
from fcis_tf.inference import find_detections, render_instances, score_regions, score_regions_in_views
from fcis_tf.inference.score_regions_in_views import average
from fcis_tf.inference.view import View
from tests.inference.random_networks import random_network
from tests.tiny_config import tiny_config

CLASSES = 3
STDS = (0.1, 0.3, 0.6, 0.4)


def make_config(model=None, **inference):
    return tiny_config(model={"anchor_scales": [2.0, 8.0], **(model or {})}, inference=inference)


@pytest.fixture(scope="module")
def networks():
    """Two networks that differ in all in which those of an ensemble may differ."""
    other = {"anchor_scales": [3.0], "group_size": 1, "head_channels": 16, "box_target_stds": STDS}
    other |= {"proposals": {"after_nms": 11}}
    return [random_network(make_config(), CLASSES, 0), random_network(make_config(other), CLASSES, 1)]


@pytest.fixture(scope="module")
def images():
    coarse = np.random.default_rng(0).uniform(0, 255, (2, 9, 12, 3))
    return tf.cast(tf.image.resize(coarse, [75, 101]), tf.uint8)


def at_scale(images, scale):
    """Images resized, and their height and width."""
    prepared, _ = prepare_image(images, scale, scale * 96 / 64)
    return prepared, np.array(prepared.shape[1:3])


def slow_members(models, images, scales, mirrorings):
    """Every network, the maps and the size at every scale, and whether they are of the mirror image."""

    def maps_and_size(model, scale, mirrored):
        prepared, size = at_scale(images, scale)
        return model.propose(pad_image(prepared[:, :, ::-1] if mirrored else prepared)), size

    return [
        (model, [maps_and_size(model, scale, mirrored) for scale in scales], mirrored)
        for model in models
        for mirrored in mirrorings
    ]


def slow_outputs(member, base_size, rois, labels=None):
    """What one member says of regions, and at which scale: assembled at all of them, of which one counts."""
    model, maps_and_sizes, mirrored = member
    by_scale, distances = [], []
    for maps, size in maps_and_sizes:
        scaled = rois * np.tile(size / base_size, 2)
        sides = scaled[..., 2:] - scaled[..., :2]
        distances.append(np.abs(sides[..., 0] * sides[..., 1] - 224**2))
        if mirrored:
            scaled = mirrored_boxes(scaled, size[1])
        by_scale.append(model.assemble(maps, np.float32(scaled), labels))
    best = np.argmin(distances, axis=0)

    def of_best(name):
        values = np.stack([outputs[name] for outputs in by_scale])
        return np.take_along_axis(values, best.reshape(1, *best.shape, *[1] * (values.ndim - 3)), axis=0)[0]

    masks = tf.nn.softmax(of_best("mask_logits")).numpy()[..., 1]
    offsets = of_best("box_offsets") * model.box_target_stds
    if mirrored:
        masks, offsets = masks[..., ::-1], offsets * [1, -1, 1, 1]
    return tf.nn.softmax(of_best("class_logits")).numpy(), masks, offsets, best


def slow_pass(members, base_size, rois):
    """Mean probabilities, masks and offsets; also every member's best classes and scales."""
    outputs = [slow_outputs(member, base_size, rois) for member in members]
    probabilities, _, offsets, scales = (np.stack(values) for values in zip(*outputs, strict=True))
    labels = np.int32(1 + probabilities.mean(axis=0)[..., 1:].argmax(-1))
    masks = [slow_outputs(member, base_size, rois, labels)[1] for member in members]
    best_classes = 1 + probabilities[..., 1:].argmax(-1)
    return probabilities.mean(axis=0), np.mean(masks, axis=0), offsets.mean(axis=0), best_classes, scales


def mirrored_boxes(boxes, width):
    return np.stack([boxes[..., 0], width - boxes[..., 3], boxes[..., 2], width - boxes[..., 1]], axis=-1)


def slow_moved(rois, offsets, size):
    sides = rois[..., 2:] - rois[..., :2]
    centres = rois[..., :2] + sides / 2 + offsets[..., :2] * sides
    halves = sides * np.exp(offsets[..., 2:]) / 2
    return np.clip(np.concatenate([centres - halves, centres + halves], -1), 0, np.tile(size, 2))


@pytest.mark.parametrize(
    "scales, flip, count",
    [((64, 160, 256), False, 1), ((), True, 1), ((), False, 2), ((256, 64, 160), True, 2)],
    ids=["scales", "flip", "ensemble", "all"],
)
def test_regions_are_scored_where_and_as_a_plain_reading_says(networks, images, scales, flip, count):
    models = networks[:count]
    config = make_config(test_scales=scales, horizontal_flip=flip)
    found = {name: value.numpy() for name, value in score_regions_in_views(models, images, config).items()}

    prepared, size = at_scale(images, 64)
    proposals = [model.propose(pad_image(prepared), np.int32([size, size])) for model in models]
    rois = np.concatenate([maps["proposals"] for maps in proposals], axis=1)
    valid = np.concatenate([maps["proposals_valid"] for maps in proposals], axis=1)
    members = slow_members(models, images, scales or (64,), (False, True) if flip else (False,))
    first = slow_pass(members, size, rois)
    np.testing.assert_allclose(found["rois"], np.concatenate([rois, slow_moved(rois, first[2], size)], 1), atol=1e-3)
    # Edges are rounded to whole pixels: the last bit of a moved region may decide, and is taken as found.
    second = slow_pass(members, size, found["rois"][:, rois.shape[1] :])

    np.testing.assert_array_equal(found["rois_valid"], np.tile(valid, 2))
    np.testing.assert_allclose(found["class_probs"], np.concatenate([first[0], second[0]], axis=1), atol=1e-4)
    np.testing.assert_allclose(found["mask_probs"], np.concatenate([first[1], second[1]], axis=1), atol=1e-4)
    # That the case shows something: members disagree, and regions are looked at in several scales.
    assert not scales or len(np.unique(first[4])) > 1
    assert len(members) == 1 or (first[3] != first[3][:1]).any()
    assert np.ptp(found["class_probs"], axis=1).max() > 0.1 and np.ptp(found["mask_probs"]) > 0.1


@pytest.mark.parametrize("second_pass", [True, False])
def test_the_base_scale_alone_is_the_plain_view(networks, images, second_pass):
    config = make_config(test_scales=[64], second_pass=second_pass)
    prepared, size = at_scale(images, 64)
    expected = score_regions(networks[0], pad_image(prepared), np.int32([size, size]), second_pass)
    found = score_regions_in_views(networks[:1], images, config)
    assert list(found) == list(expected)
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])


def test_what_is_found_in_mirror_images_is_mirrored(networks, images):
    prepared, size = at_scale(images, 64)
    maps = [networks[0].compute_maps(pad_image(x)) for x in (prepared, prepared[:, :, ::-1])]
    # Of an image, and of its mirror image.
    pairs = [
        [View(networks[0], [maps[i ^ mirrored]], [size], size, mirrored) for mirrored in (False, True)] for i in (0, 1)
    ]
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 40, (2, 20, 2))
    rois = np.float32(np.concatenate([low, low + rng.uniform(1, 24, (2, 20, 2))], axis=-1))

    one, other = average(pairs[0], rois), average(pairs[1], np.float32(mirrored_boxes(rois, size[1])))
    np.testing.assert_allclose(one["class_probs"], other["class_probs"], atol=1e-5)
    np.testing.assert_allclose(one["mask_probs"], other["mask_probs"][..., ::-1], atol=1e-5)
    np.testing.assert_allclose(one["box_offsets"], other["box_offsets"] * [1, -1, 1, 1], atol=1e-5)
    assert np.abs(one["mask_probs"] - other["mask_probs"]).max() > 0.1


def test_an_ensemble_of_a_network_with_itself_finds_what_it_finds_alone(networks, images):
    # Every region comes twice. The second is suppressed by the first, and their votes on a mask are one region's.
    config = make_config()
    alone, twice = (find_detections(models, images, config) for models in (networks[0], [networks[0]] * 2))
    np.testing.assert_array_equal(alone["num_detections"], twice["num_detections"])
    assert alone["num_detections"][0] > 1
    for name in ("boxes", "scores", "classes"):
        np.testing.assert_allclose(alone[name], twice[name], atol=1e-5)
    alone, twice = (
        render_instances({name: values[0] for name, values in detections.items()}, images.shape[1:3], config.inference)
        for detections in (alone, twice)
    )
    np.testing.assert_array_equal(alone.classes, twice.classes)
    assert np.mean(alone.masks != twice.masks) < 1e-4


def test_one_graph_serves_images_of_every_size(networks):
    config = make_config(test_scales=[48, 64], horizontal_flip=True)
    traces = []

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
    def compiled(images):
        traces.append(1)
        return find_detections(networks[0], images, config)

    for number, height, width in ((1, 40, 50), (2, 81, 30), (1, 1, 1), (1, 2, 90)):
        detections = compiled(tf.fill([number, height, width, 3], tf.constant(99, tf.uint8)))
        assert detections["boxes"].shape == (number, 100, 4)
        assert (detections["boxes"] <= np.float32([height, width] * 2) + 1e-3).numpy().all()
    assert len(traces) == 1
