"""Masks of a pyramid of windows, and the classes that another network gives them."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fcis_tf.errors import UserError
from fcis_tf.inference import Predictor
from fcis_tf.inference.mask_proposals import crop_masks, propose_masks, tight_mask_boxes
from fcis_tf.model_directory import (
    build_model,
    describe_run,
    load_ensemble,
    load_mask_proposals,
    save_network,
)
from fcis_tf.models.anchors import make_anchors
from tests.ops import slow_position_sensitive as slow
from tests.tiny_config import tiny_config

P = 9


def config_of(head, **changes):
    return tiny_config(model={"head": head, "window": 48, "batch_norm": "trained", "frozen_stages": []}, **changes)


def test_masks_of_windows_by_a_slow_reading():
    keras.utils.set_random_seed(0)
    model = build_model(config_of("instance_fcn"), None)
    outputs = model(tf.random.stateless_normal([2, 64, 96, 3], [0, 0]) * 60)
    maps, logits = outputs["mask_maps"].numpy(), outputs["mask_logits"].numpy()
    assert maps.shape == (2, 4, 6, 9) and outputs["objectness_logits"].shape == (2, 24)
    window = np.float32([[16 * 2.5 - 24, 16 * 3.5 - 24, 16 * 2.5 + 24, 16 * 3.5 + 24]])
    np.testing.assert_array_equal(outputs["windows"][2 * 6 + 3], window[0])
    expected = slow.ps_roi_pool(maps, window, np.int32([1]), group_size=3, pooled_size=P, stride=16)[0, ..., 0]
    np.testing.assert_allclose(logits[1, 2 * 6 + 3], expected, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 0.9))
def test_boxes_are_tight_around_the_interpolated_mask(seed, threshold):
    """Beside the extent of the profiles on a fine grid."""
    masks = np.random.default_rng(seed).uniform(0, 1, [3, P, P]).astype(np.float32)
    boxes, found = (x.numpy() for x in tight_mask_boxes(tf.constant(masks), threshold))
    fine = (np.arange(9000) + 0.5) / 1000
    for mask, box, is_found in zip(masks, boxes, found, strict=True):
        assert is_found == (mask > threshold).any()
        if not is_found:
            np.testing.assert_array_equal(box, [0, 0, 1, 1])
            continue
        for axis in (0, 1):
            profile = np.interp(fine, np.arange(P) + 0.5, mask.max(axis=1 - axis))
            inside = fine[profile > threshold]
            np.testing.assert_allclose([box[axis], box[axis + 2]], [inside[0] / P, inside[-1] / P], atol=3e-4)


def test_a_crop_is_the_mask_as_it_lies_in_the_box():
    rows = (np.arange(P) + 0.5) / P
    masks = np.float32(rows[:, None] * 0.5 + rows[None] * 0.25)[None, None]
    crop = crop_masks(tf.constant(masks), tf.constant([[[0.2, 0.3, 0.8, 0.6]]]))[0, 0].numpy()
    expected = (0.2 + rows[:, None] * 0.6) * 0.5 + (0.3 + rows[None] * 0.3) * 0.25
    np.testing.assert_allclose(crop, expected, atol=1e-5)


class DiscModel:
    """A stand-in for InstanceFCN: it sees a bright disc, and is surest where a window has it in its middle."""

    mask_size = 21

    def propose(self, images, image_sizes=None, training=False):
        height, width = images.shape[1] // 16, images.shape[2] // 16
        windows = make_anchors(height, width, [4.0], [1.0], 16)
        bright = tf.reduce_sum(images[0], axis=-1) > 0
        where = tf.cast(tf.where(bright), tf.float32)
        center = tf.reduce_mean(where, axis=0) + 0.5
        side = tf.sqrt(tf.cast(tf.shape(where)[0], tf.float32)) * 2 / np.pi**0.5
        middle = (windows[:, :2] + windows[:, 2:]) / 2
        distance = tf.reduce_max(tf.abs(middle - center), axis=-1)
        logits = 4 - distance / 4 - 8 * tf.abs(tf.math.log(side / 36))
        return {"windows": windows, "objectness_logits": logits[None], "image": tf.cast(bright, tf.float32)}

    def assemble(self, maps, windows):
        steps = (tf.range(21, dtype=tf.float32) + 0.5) / 21 * 64
        cells = tf.stack(tf.meshgrid(steps, steps, indexing="ij"), axis=-1) + windows[0, :, None, None, :2]
        cells = tf.cast(tf.floor(cells), tf.int32)
        limits = tf.shape(maps["image"]) - 1
        values = tf.gather_nd(maps["image"], tf.clip_by_value(cells, 0, limits))
        return (values * 12 - 6)[None]


@pytest.mark.parametrize("radius", [12, 20, 30])
def test_the_level_where_an_object_has_the_windows_size_finds_it(radius):
    rows, columns = np.mgrid[:160, :160]
    disc = (rows + 0.5 - 70) ** 2 + (columns + 0.5 - 96) ** 2 < radius**2
    images = np.where(disc[..., None], np.uint8(255), np.uint8(0)).repeat(3, axis=-1)[None]
    config = config_of(
        "instance_fcn", inference={"test_scales": [96, 144, 240]}, data={"short_side": 160, "long_side": 160}
    )
    proposals = propose_masks(DiscModel(), images, config, tf.constant([160, 160]))
    boxes, masks, valid = (proposals[name].numpy() for name in ("boxes", "masks", "valid"))
    expected = [70 - radius, 96 - radius, 70 + radius, 96 + radius]
    assert valid[0, 0]
    np.testing.assert_allclose(boxes[0, 0], expected, atol=3)
    # A disc covers this part of its square.
    np.testing.assert_allclose(masks[0, 0].mean(), np.pi / 4, atol=0.1)
    assert (np.diff(proposals["objectness"][0]) <= 0).all()
    assert not boxes[0][~valid[0]].any()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Model directories of an R-FCN, an InstanceFCN and an FCIS with random weights."""
    folders = {}
    for head in ("rfcn", "instance_fcn", "inside_outside"):
        keras.utils.set_random_seed(3)
        config = config_of(head, inference={"test_scales": [64, 96]} if head == "instance_fcn" else {})
        folders[head] = tmp_path_factory.mktemp(head)
        describe_run(folders[head], config, ["a", "b"], [1, 2])
        save_network(build_model(config, 2), folders[head])
    return SimpleNamespace(**folders)


def test_both_networks_together_find_instances(folders):
    config = config_of("rfcn", inference={"score_threshold": 0.0})
    ensemble = load_ensemble([folders.rfcn], config, folders.instance_fcn)
    proposer = load_mask_proposals(folders.instance_fcn)
    predictor = Predictor([ensemble[0].model], config, mask_proposals=proposer)
    image = np.random.default_rng(0).integers(0, 255, [80, 100, 3], dtype=np.uint8)
    found = predictor.predict(image)
    assert found.masks.shape[1:] == (80, 100) and found.masks.any(axis=(1, 2)).all()
    assert set(found.classes) <= {1, 2} and len(found.scores) > 0
    # The networks' weights are all that frozen ones differ in.
    frozen = Predictor([ensemble[0].model], config, freeze=True, mask_proposals=proposer).predict(image)
    np.testing.assert_allclose(frozen.scores[:5], found.scores[:5], atol=1e-4)


def test_what_finds_no_instances_is_refused(folders):
    config = config_of("rfcn")
    with pytest.raises(UserError, match="holds an R-FCN, which has no masks; .* --mask-proposals"):
        load_ensemble([folders.rfcn], config)
    with pytest.raises(UserError, match="holds an InstanceFCN, whose masks have no classes"):
        load_ensemble([folders.instance_fcn], config)
    with pytest.raises(UserError, match="only R-FCN classifies the masks of another network"):
        load_ensemble([folders.inside_outside], config_of("inside_outside"), folders.instance_fcn)
    with pytest.raises(UserError, match="^--mask-proposals .*: expected .*instance_fcn, found rfcn"):
        load_mask_proposals(folders.rfcn)
    for tricks in ({"horizontal_flip": True}, {"test_scales": [64, 96]}):
        with pytest.raises(UserError, match="^--mask-proposals .*: expected one R-FCN, without"):
            load_ensemble([folders.rfcn], config_of("rfcn", inference=tricks), folders.instance_fcn)
    with pytest.raises(UserError, match="^--mask-proposals .*: expected one R-FCN, without"):
        load_ensemble([folders.rfcn] * 2, config, folders.instance_fcn)
    with pytest.raises(UserError, match="^--mask-proposals .*: no such directory"):
        load_mask_proposals(folders.rfcn / "missing")
