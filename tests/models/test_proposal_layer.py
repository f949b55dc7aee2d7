"""Proposals against a slow reading of Faster R-CNN."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fcis_tf.models import ProposalLayer


def slow_iou(box, other):
    height = min(box[2], other[2]) - max(box[0], other[0])
    width = min(box[3], other[3]) - max(box[1], other[1])
    if height <= 0 or width <= 0:
        return 0.0
    area, other_area = ((b[2] - b[0]) * (b[3] - b[1]) for b in (box, other))
    return height * width / (area + other_area - height * width)


def slow_proposals(logits, offsets, anchors, image_size, before_nms, nms_threshold, after_nms, min_size, rank_by):
    """The proposals of one image, best first: a list of boxes."""
    scores = logits[:, 1] - logits[:, 0] if rank_by == "probability" else logits[:, 1]
    candidates, kept = 0, []
    for a in np.argsort(-scores, kind="stable"):
        anchor_height, anchor_width = anchors[a, 2] - anchors[a, 0], anchors[a, 3] - anchors[a, 1]
        dy, dx, dh, dw = offsets[a].astype(np.float64)
        y, x = anchors[a, 0] + anchor_height * (0.5 + dy), anchors[a, 1] + anchor_width * (0.5 + dx)
        height, width = anchor_height * np.exp(dh), anchor_width * np.exp(dw)
        box = [y - height / 2, x - width / 2, y + height / 2, x + width / 2]
        box = [min(max(edge, 0), image_size[i % 2]) for i, edge in enumerate(box)]
        if min(box[2] - box[0], box[3] - box[1]) < min_size or box[2] <= box[0] or box[3] <= box[1]:
            continue
        candidates += 1
        if candidates > before_nms:
            break
        if all(slow_iou(box, other) <= nms_threshold for other in kept):
            kept.append(box)
    return kept[:after_nms]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 60),
    st.integers(1, 80),
    st.sampled_from([0.1, 0.5, 0.7, 1.0]),
    st.integers(1, 70),
    st.sampled_from([0.0, 5.0, 20.0]),
    st.sampled_from(["probability", "foreground_logit"]),
)
def test_equals_a_slow_reading_for_images_of_different_sizes(
    seed, number, before_nms, nms_threshold, after_nms, min_size, rank_by
):
    rng = np.random.default_rng(seed)
    anchors = rng.uniform(-20, 100, (number, 2))
    anchors = np.concatenate([anchors, anchors + rng.uniform(4, 60, (number, 2))], axis=1).astype(np.float32)
    logits = rng.normal(size=(3, number, 2)).astype(np.float32)
    offsets = rng.normal(0, 0.4, size=(3, number, 4)).astype(np.float32)
    image_sizes = np.int32([[96, 128], [128, 64], [33, 17]])
    options = {
        "before_nms": before_nms,
        "nms_threshold": nms_threshold,
        "after_nms": after_nms,
        "min_size": min_size,
        "rank_by": rank_by,
    }
    rois, valid = ProposalLayer(**options)(logits, offsets, anchors, image_sizes)
    assert rois.shape == (3, after_nms, 4) and valid.shape == (3, after_nms)
    for i in range(3):
        expected = slow_proposals(logits[i], offsets[i], anchors, image_sizes[i], **options)
        assert valid[i].numpy().tolist() == [j < len(expected) for j in range(after_nms)]
        np.testing.assert_allclose(rois[i][: len(expected)], np.reshape(expected, (-1, 4)), atol=1e-3)
        assert not rois[i][len(expected) :].numpy().any()


def test_takes_the_highest_scores_and_suppresses_near_duplicates():
    anchors = np.float32([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 40, 40], [0, 30, 10, 40]])
    logits = np.float32([[[0, 1], [0, 2], [0, -5], [0, 3]]])
    rois, valid = ProposalLayer(before_nms=3, nms_threshold=0.7, after_nms=3)(
        logits, np.zeros([1, 4, 4], np.float32), anchors, np.int32([[50, 50]])
    )
    np.testing.assert_array_equal(rois[0], [anchors[3], anchors[1], [0, 0, 0, 0]])
    np.testing.assert_array_equal(valid, [[True, True, False]])


@pytest.mark.parametrize("shift", [-1e4, -30.0, 0.0, 30.0, 1e4])
def test_only_the_order_of_scores_matters(shift):
    anchors = np.float32([[0, 0, 10, 10], [20, 20, 40, 40], [0, 30, 10, 40]])
    logits = np.float32([[[0, 1], [0, 3], [0, 2]]]) + np.float32([0, shift])
    rois, valid = ProposalLayer(after_nms=4)(
        logits, np.zeros([1, 3, 4], np.float32), anchors, np.int32([[50, 50]])
    )
    np.testing.assert_array_equal(rois[0], [anchors[1], anchors[2], anchors[0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(valid, [[True, True, True, False]])


def test_anchors_of_cells_that_the_image_ends_in_can_be_left_out():
    # Cells of 16 pixels: the image of 40 x 32 ends in the third row.
    anchors = np.float32([[0, 0, 16, 16], [16, 16, 32, 32], [32, 0, 48, 16]])
    logits = np.float32([[[0, 1], [0, 2], [0, 3]]])
    for whole_cells_only, expected in ((True, anchors[[1, 0]]), (False, [[32, 0, 40, 16], *anchors[[1, 0]]])):
        rois, valid = ProposalLayer(after_nms=3, whole_cells_only=whole_cells_only)(
            logits, np.zeros([1, 3, 4], np.float32), anchors, np.int32([[40, 32]])
        )
        np.testing.assert_array_equal(rois[valid], expected)


def test_boxes_that_leave_nothing_within_the_image_are_dropped():
    anchors = np.float32([[60, 0, 80, 20], [0, 0, 20, 20]])
    rois, valid = ProposalLayer(after_nms=2)(
        np.float32([[[0, 9], [0, 1]]]), np.zeros([1, 2, 4], np.float32), anchors, np.int32([[50, 50]])
    )
    np.testing.assert_array_equal(valid, [[True, False]])
    np.testing.assert_array_equal(rois[0, 0], anchors[1])


@pytest.mark.parametrize("value", [1e3, 1e30])
def test_wild_offsets_give_finite_boxes_within_the_image(value):
    offsets = np.float32([[[0, 0, value, value]]])
    rois, valid = ProposalLayer(after_nms=1)(
        np.zeros([1, 1, 2], np.float32), offsets, np.float32([[10, 10, 20, 20]]), np.int32([[64, 32]])
    )
    assert valid.numpy().all()
    np.testing.assert_array_equal(rois[0, 0], [0, 0, 64, 32])


def test_passes_no_gradient():
    logits, offsets = tf.zeros([1, 3, 2]), tf.zeros([1, 3, 4])
    anchors = tf.constant([[0.0, 0, 9, 9], [3, 3, 12, 12], [6, 0, 15, 9]])
    with tf.GradientTape() as tape:
        tape.watch([logits, offsets])
        rois, _ = ProposalLayer(after_nms=3)(logits, offsets, anchors, tf.constant([[20, 20]]))
        total = tf.reduce_sum(rois)
    assert tape.gradient(total, [logits, offsets]) == [None, None]


def test_round_trips_through_its_configuration():
    layer = ProposalLayer(before_nms=1, nms_threshold=0.2, after_nms=3, min_size=4.0, name="proposals")
    assert ProposalLayer.from_config(layer.get_config()).get_config() == layer.get_config()
