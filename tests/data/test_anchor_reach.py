"""Which boxes the anchors reach, against every anchor of the map."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fcis_tf.config import DataConfig, DigitsDataset
from fcis_tf.data.anchor_reach import best_anchor_ious, boxes_at_network_scale, network_scales, suggest_anchors
from fcis_tf.data.preparation import prepare_image
from fcis_tf.models.anchors import make_anchors
from tests.losses.ground_truth import slow_iou


def slow_best_iou(box, size, scales, ratios, rounded):
    """The highest IoU of a box with the anchors of the padded map that are within the image."""
    height, width = size
    anchors = make_anchors(-(-height // 16), -(-width // 16), scales, ratios, 16, rounded).numpy()
    inside = [a for a in anchors if a[0] >= 0 and a[1] >= 0 and a[2] <= height and a[3] <= width]
    return max((slow_iou(anchor, box) for anchor in inside), default=0)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(16, 150),
    st.integers(16, 150),
    st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.0, 6.0]), min_size=1, max_size=3),
    st.lists(st.sampled_from([0.33, 0.5, 1.0, 2.0]), min_size=1, max_size=3),
    st.booleans(),
)
def test_the_nearest_position_has_the_best_anchor(seed, height, width, scales, ratios, rounded):
    low, high = np.sort(np.random.default_rng(seed).uniform(0, (height, width), (4, 2, 2)), axis=1).swapaxes(0, 1)
    boxes = np.concatenate([low, high], axis=1).astype(np.float32)
    expected = [slow_best_iou(box, (height, width), scales, ratios, rounded) for box in boxes]
    found = best_anchor_ious(boxes, np.tile((height, width), (4, 1)), scales, ratios, rounded)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_boxes_are_scaled_as_their_image_is():
    digits = DigitsDataset(format="digits", split="eval", scenes=1)
    config = DataConfig(train=digits, eval=digits, short_side=60, long_side=100, train_scales=(30, 90))
    assert network_scales(config, "train") == [(30, 50), (90, 150)] and network_scales(config, "eval") == [(60, 100)]
    sizes = np.array([[30, 40], [200, 77], [500, 20]])
    boxes = np.tile([0.0, 0.0, 1.0, 1.0], (3, 1)) * np.tile(sizes, 2)
    for split in ("train", "eval"):
        scales = network_scales(config, split)
        found, resized = boxes_at_network_scale(boxes, sizes, scales)
        images = [prepare_image(np.zeros((*size, 3), np.uint8), *scale)[0] for scale in scales for size in sizes]
        np.testing.assert_array_equal(resized, [image.shape[:2] for image in images])
        np.testing.assert_allclose(found[:, 2:], resized)


def test_no_boxes_are_no_problem():
    assert best_anchor_ious(np.zeros((0, 4)), np.zeros((0, 2)), [8], [1]).shape == (0,)


def test_scales_are_suggested_that_reach_the_boxes():
    rng = np.random.default_rng(0)
    centres, sides = rng.uniform(100, 500, (300, 2)), rng.uniform(60, 70, (300, 1))
    boxes = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)
    sizes = np.tile((600, 600), (300, 1))
    assert (best_anchor_ious(boxes, sizes, (16.0, 32.0), (1.0,)) < 0.5).all()
    scales, ratios, unreached = suggest_anchors(boxes, sizes, (16.0, 32.0), (1.0,))
    assert scales == (4.0, 16.0, 32.0) and ratios == (1.0,) and unreached == 0


def test_ratios_are_suggested_where_scales_do_not_help():
    corners = np.random.default_rng(0).uniform(20, 400, (300, 2))
    boxes = np.concatenate([corners, corners + (30, 180)], axis=1)
    scales, ratios, unreached = suggest_anchors(boxes, np.tile((700, 700), (300, 1)), (4.0, 8.0, 16.0), (0.5, 1.0, 2.0))
    assert 0.25 in ratios and unreached < 0.2
