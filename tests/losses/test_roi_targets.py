"""What the head learns from, against slow readings."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fcis_tf.boxes import decode
from fcis_tf.config import RoiTargetConfig
from fcis_tf.losses import roi_targets
from tests.losses.ground_truth import random_batch, random_boxes, slow_covered, slow_iou

STDS = (0.2, 0.2, 0.5, 0.5)


def rois_near_instances(rng, batch, number):
    """RoIs of which some overlap instances and crowds well, and which ones are valid."""
    images, instances, _ = batch["boxes"].shape
    rois = random_boxes(rng, (images, number), limit=100)
    for i in range(images):
        for r in range(0, number, 2):
            box = batch["boxes"][i, rng.integers(instances)] if instances else np.zeros(4)
            if box.any():
                rois[i, r] = box + rng.uniform(-2, 2, 4)
    return rois, rng.uniform(size=(images, number)) < 0.8


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 4), st.sampled_from([0.1, 0.5, 0.7]))
def test_matching_equals_a_slow_reading(seed, instances, foreground_iou):
    rng = np.random.default_rng(seed)
    batch = random_batch(rng, instances=instances)
    rois, valid = rois_near_instances(rng, batch, 12)
    labels, matched = roi_targets.match_rois(rois, valid, batch, foreground_iou)
    for i, r in np.ndindex(2, 12):
        present = [g for g in range(instances) if batch["classes"][i, g] > 0]
        overlaps = {g: slow_iou(rois[i, r], batch["boxes"][i, g]) for g in present if not batch["is_crowd"][i, g]}
        crowds = [g for g in present if batch["is_crowd"][i, g]]
        best = max(overlaps, key=overlaps.get, default=None)
        if valid[i, r] and best is not None and overlaps[best] > foreground_iou:
            assert labels[i, r] == batch["classes"][i, best] and matched[i, r] == best
        elif valid[i, r] and not any(slow_covered(rois[i, r], batch["boxes"][i, g]) > 0.5 for g in crowds):
            assert labels[i, r] == 0
        else:
            assert labels[i, r] == -1


def test_the_ground_truth_joins_the_proposals_without_crowds_and_padding():
    batch = {
        "boxes": np.float32([[[1, 1, 2, 2], [3, 3, 4, 4], [0, 0, 0, 0]]]),
        "classes": np.int32([[5, 5, 0]]),
        "is_crowd": np.array([[False, True, False]]),
    }
    proposals = np.float32([[[9, 9, 10, 10], [0, 0, 0, 0]]])
    rois, valid = roi_targets.candidate_rois(proposals, np.array([[True, False]]), batch)
    np.testing.assert_array_equal(rois, np.concatenate([proposals, batch["boxes"]], axis=1))
    np.testing.assert_array_equal(valid, [[True, False, True, False, False]])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(1, 30), st.integers(1, 16), st.sampled_from([0.0, 0.25, 1.0]))
def test_sampling_takes_a_quarter_of_foreground_and_fills_up_with_background(seed, number, wanted, fraction):
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, 3, (2, number)).astype(np.int32)
    # Each RoI says who it is.
    rois = np.tile(np.arange(number, dtype=np.float32)[:, None], [2, 1, 4])
    matched = np.tile(np.arange(number, dtype=np.int32), [2, 1])
    config = RoiTargetConfig(selection="sampled", rois_per_image=wanted, foreground_fraction=fraction)
    drawn_rois, drawn, drawn_matched = (
        x.numpy() for x in roi_targets.sample_rois(rois, labels, matched, config, [[seed, 0], [seed, 1]])
    )
    assert drawn.shape == (2, min(wanted, number))
    np.testing.assert_array_equal(drawn_rois[..., 0], drawn_matched)
    for i in range(2):
        foreground = min(int(wanted * fraction), (labels[i] > 0).sum())
        assert (drawn[i] > 0).sum() == foreground
        assert (drawn[i] == 0).sum() == min(wanted - foreground, (labels[i] == 0).sum())
        who = drawn_matched[i]
        assert len(set(who)) == len(who)
        assert (labels[i][who][drawn[i] >= 0] == drawn[i][drawn[i] >= 0]).all()


def test_box_targets_lead_from_the_roi_to_the_instance():
    rng = np.random.default_rng(0)
    rois, instances = random_boxes(rng, (2, 6), 100), random_boxes(rng, (2, 3), 100)
    labels, matched = np.ones([2, 6], np.int32), rng.integers(3, size=(2, 6)).astype(np.int32)
    targets = roi_targets.box_targets(rois, labels, matched, {"boxes": instances}, STDS)
    expected = np.take_along_axis(instances, matched[..., None], axis=1)
    np.testing.assert_allclose(decode(targets * STDS, rois), expected, atol=1e-3)


def test_box_targets_by_hand():
    rois, labels, matched = np.float32([[[0, 0, 10, 20]]]), np.int32([[1]]), np.int32([[0]])
    targets = roi_targets.box_targets(rois, labels, matched, {"boxes": np.float32([[[5, 0, 25, 10]]])}, STDS)
    np.testing.assert_allclose(targets, [[[5, -1.25, 2 * np.log(2), -2 * np.log(2)]]], rtol=1e-5)


def test_background_has_no_box_targets_whatever_its_box():
    rois = np.float32([[[0, 0, 0, 0], [5, 5, 2, 2], [0, 0, 9, 9]]])
    batch = {"boxes": np.zeros([1, 1, 4], np.float32)}
    targets = roi_targets.box_targets(rois, np.int32([[0, -1, 0]]), np.zeros([1, 3], np.int32), batch, STDS)
    assert not targets.numpy().any()


# Masks


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 5, 9]))
def test_masks_equal_those_of_the_whole_image(seed, pooled_size):
    """The box's sides divide the crop's, which then holds the mask without loss."""
    rng = np.random.default_rng(seed)
    image_side, crop_side = 64, 24
    sides = rng.choice([4, 6, 8, 12, 24], (2, 3, 2))
    corners = rng.integers(0, image_side - 24, (2, 3, 2))
    boxes = np.concatenate([corners, corners + sides], axis=-1)
    whole = np.zeros((2, 3, image_side, image_side), bool)
    crops = np.zeros((2, 3, crop_side, crop_side), np.uint8)
    for i, g in np.ndindex(2, 3):
        ymin, xmin, ymax, xmax = boxes[i, g]
        content = rng.uniform(size=(ymax - ymin, xmax - xmin)) < 0.5
        whole[i, g, ymin:ymax, xmin:xmax] = content
        crops[i, g] = np.kron(content, np.ones((crop_side // (ymax - ymin), crop_side // (xmax - xmin))))
    rois = random_boxes(rng, (2, 7), image_side, largest=30)
    labels, matched = rng.integers(-1, 3, (2, 7)).astype(np.int32), rng.integers(3, size=(2, 7)).astype(np.int32)
    batch = {"boxes": boxes.astype(np.float32), "masks": crops}
    targets = roi_targets.mask_targets(rois, labels, matched, batch, pooled_size).numpy()

    for i, r in np.ndindex(2, 7):
        if labels[i, r] <= 0:
            assert not targets[i, r].any()
            continue
        ymin, xmin, ymax, xmax = rois[i, r].astype(np.float64)
        bins = (np.arange(pooled_size) + 0.5) / pooled_size
        y, x = ymin + bins * (ymax - ymin), xmin + bins * (xmax - xmin)
        expected = whole[i, matched[i, r]][np.ix_(np.floor(y).astype(int), np.floor(x).astype(int))]
        # Centres of bins that lie on an edge of pixels may fall to either side.
        sure = np.ix_(np.abs(y - np.round(y)) > 1e-3, np.abs(x - np.round(x)) > 1e-3)
        np.testing.assert_array_equal(targets[i, r][sure], expected[sure])


def test_masks_by_hand():
    # The upper left half of a box of 4 x 4 pixels; the RoI begins one bin before it and ends in its middle.
    crop = np.uint8([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]])
    batch = {"boxes": np.float32([[[10, 20, 14, 24]]]), "masks": crop[None, None]}
    rois, labels, matched = np.float32([[[9, 19, 13, 23]]]), np.int32([[3]]), np.int32([[0]])
    targets = roi_targets.mask_targets(rois, labels, matched, batch, 4)
    np.testing.assert_array_equal(targets[0, 0], [[0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 0]])


@pytest.mark.parametrize("instances", [0, 2])
def test_images_without_instances(instances):
    batch = {
        "boxes": np.zeros([2, instances, 4], np.float32),
        "classes": np.zeros([2, instances], np.int32),
        "is_crowd": np.zeros([2, instances], bool),
        "masks": np.zeros([2, instances, 8, 8], np.uint8),
    }
    proposals = tf.tile(tf.constant([[[0.0, 0, 9, 9], [3, 3, 9, 9]]]), [2, 1, 1])
    rois, valid = roi_targets.candidate_rois(proposals, tf.ones([2, 2], tf.bool), batch)
    labels, matched = roi_targets.match_rois(rois, valid, batch, 0.5)
    np.testing.assert_array_equal(labels, [[0, 0] + [-1] * instances] * 2)
    masks = roi_targets.mask_targets(rois, labels, matched, batch, 3)
    assert masks.shape == (2, 2 + instances, 3, 3) and not masks.numpy().any()
    assert not roi_targets.box_targets(rois, labels, matched, batch, STDS).numpy().any()
