"""What the RPN learns from, against a slow reading of Faster R-CNN section 3.1.2."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fcis_tf.config import RpnTargetConfig
from fcis_tf.losses.anchor_targets import anchor_targets
from tests.losses.ground_truth import random_batch, random_boxes, slow_covered, slow_iou, slow_offsets

ALL = RpnTargetConfig(anchors_per_image=1000, foreground_iou=0.6, background_iou=0.3)
SEEDS = np.int64([[0, 0], [0, 1]])


def slow_targets(anchors, batch, i, config):
    """Returns the label of every anchor of image i before any is drawn, and the offsets of the foreground ones."""
    height, width = batch["image_sizes"][i]
    inside = [a[0] >= 0 and a[1] >= 0 and a[2] <= height and a[3] <= width for a in anchors]
    instances = [g for g, c in enumerate(batch["classes"][i]) if c > 0 and not batch["is_crowd"][i, g]]
    crowds = [g for g, c in enumerate(batch["classes"][i]) if c > 0 and batch["is_crowd"][i, g]]
    overlaps = np.zeros((len(anchors), batch["boxes"].shape[1]))
    for a, anchor in enumerate(anchors):
        for g in instances:
            overlaps[a, g] = slow_iou(anchor, batch["boxes"][i, g]) if inside[a] else 0
    labels, offsets = [], {}
    for a, anchor in enumerate(anchors):
        best = max((overlaps[a, g] for g in instances), default=0)
        is_best = any(overlaps[a, g] > 0 and overlaps[a, g] == overlaps[:, g].max() for g in instances)
        crowded = any(slow_covered(anchor, batch["boxes"][i, g]) > 0.5 for g in crowds)
        if inside[a] and (best >= config.foreground_iou or is_best):
            labels.append(1)
            offsets[a] = slow_offsets(batch["boxes"][i, overlaps[a].argmax()], anchor)
        else:
            labels.append(0 if inside[a] and best < config.background_iou and not crowded else -1)
    return np.array(labels), offsets


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 4))
def test_equals_a_slow_reading_when_all_are_drawn(seed, instances):
    rng = np.random.default_rng(seed)
    batch = random_batch(rng, instances=instances)
    anchors = random_boxes(rng, (40,), limit=120) - 10
    labels, offsets = anchor_targets(anchors, batch, ALL, SEEDS[: len(batch["classes"])])
    for i in range(2):
        expected, expected_offsets = slow_targets(anchors, batch, i, ALL)
        np.testing.assert_array_equal(labels[i], expected)
        for a, values in expected_offsets.items():
            np.testing.assert_allclose(offsets[i, a], values, atol=1e-4)
    assert np.isfinite(offsets).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31 - 1), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_draws_a_minibatch_of_at_most_the_wanted_fraction_of_foreground(seed, fraction):
    rng = np.random.default_rng(seed)
    batch = random_batch(rng)
    anchors = random_boxes(rng, (60,), limit=100)
    config = RpnTargetConfig(anchors_per_image=8, foreground_fraction=fraction, foreground_iou=0.3, background_iou=0.2)
    drawn = anchor_targets(anchors, batch, config, [[seed, 0], [seed, 1]])[0].numpy()
    every = config.model_copy(update={"anchors_per_image": 1000, "foreground_fraction": 1.0})
    for i in range(2):
        candidates, _ = slow_targets(anchors, batch, i, every)
        foreground, background = (candidates == 1).sum(), (candidates == 0).sum()
        expected = min(int(8 * fraction), foreground)
        assert (drawn[i] == 1).sum() == expected
        assert (drawn[i] == 0).sum() == min(8 - expected, background)
        assert (candidates[drawn[i] >= 0] == drawn[i][drawn[i] >= 0]).all()


def one_instance(**changes):
    batch = {
        "image_sizes": np.int32([[50, 50]]),
        "boxes": np.float32([[[10, 10, 30, 30]]]),
        "classes": np.int32([[2]]),
        "is_crowd": np.zeros([1, 1], bool),
    }
    return batch | changes


def test_the_best_anchor_of_an_instance_is_foreground_however_bad():
    anchors = np.float32([[0, 0, 12, 12], [25, 25, 40, 40], [31, 31, 50, 50], [-1, 0, 20, 20]])
    labels, _ = anchor_targets(anchors, one_instance(), ALL, SEEDS[:1])
    np.testing.assert_array_equal(labels, [[0, 1, 0, -1]])


PADDING = {"classes": np.int32([[0]])}
NOTHING = {
    "boxes": np.zeros([1, 0, 4], np.float32),
    "classes": np.zeros([1, 0], np.int32),
    "is_crowd": np.zeros([1, 0], bool),
}


@pytest.mark.parametrize("changes", [PADDING, NOTHING])
def test_without_instances_all_is_background(changes):
    anchors = np.float32([[10, 10, 30, 30], [0, 0, 9, 9]])
    labels, offsets = anchor_targets(anchors, one_instance(**changes), ALL, SEEDS[:1])
    np.testing.assert_array_equal(labels, [[0, 0]])
    assert not offsets.numpy().any()


def test_anchors_within_a_crowd_take_no_part():
    anchors = np.float32([[10, 10, 30, 30], [10, 25, 30, 45], [10, 15, 30, 34]])
    labels, _ = anchor_targets(anchors, one_instance(is_crowd=np.ones([1, 1], bool)), ALL, SEEDS[:1])
    np.testing.assert_array_equal(labels, [[-1, 0, -1]])


def test_anchors_beyond_the_content_of_a_padded_image_take_no_part():
    anchors = np.float32([[0, 0, 50, 50], [0, 0, 50, 51]])
    labels, _ = anchor_targets(anchors, one_instance(**PADDING), ALL, SEEDS[:1])
    np.testing.assert_array_equal(labels, [[0, -1]])


def test_degenerate_instances_are_matched_by_nothing():
    batch = one_instance(boxes=np.float32([[[10, 10, 10, 30]]]))
    labels, offsets = anchor_targets(np.float32([[5, 5, 40, 40]]), batch, ALL, SEEDS[: len(batch["classes"])])
    np.testing.assert_array_equal(labels, [[0]])
    assert np.isfinite(offsets).all()
