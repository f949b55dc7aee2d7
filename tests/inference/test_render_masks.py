"""Rendering of masks, against a reading pixel by pixel."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fcis_tf.inference import render_masks

# One region's vote for one detection.
ALONE = tf.ones([1, 1])


def slow_probabilities(mask, box, height, width):
    """The probability at every pixel in float64, and 0 outside the box."""
    ymin, xmin, ymax, xmax = box.astype(float)
    cells = len(mask)
    rendered = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            if ymin <= y + 0.5 < ymax and xmin <= x + 0.5 < xmax:
                v = np.clip((y + 0.5 - ymin) / (ymax - ymin) * cells - 0.5, 0, cells - 1)
                u = np.clip((x + 0.5 - xmin) / (xmax - xmin) * cells - 0.5, 0, cells - 1)
                top, left = int(v), int(u)
                bottom, right = min(top + 1, cells - 1), min(left + 1, cells - 1)
                upper = (1 - (u - left)) * mask[top, left] + (u - left) * mask[top, right]
                lower = (1 - (u - left)) * mask[bottom, left] + (u - left) * mask[bottom, right]
                rendered[y, x] = (1 - (v - top)) * upper + (v - top) * lower
    return rendered


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    cells=st.integers(1, 7),
    size=st.tuples(st.integers(1, 14), st.integers(1, 14)),
    longest=st.sampled_from([1.0, 5.0, 30.0]),
)
def test_interpolates_between_the_centres_of_cells(seed, cells, size, longest):
    rng = np.random.default_rng(seed)
    low = rng.uniform(-6, 14, (3, 2))
    boxes = np.concatenate([low, low + rng.uniform(0, longest, (3, 2))], axis=1).astype(np.float32)
    masks = rng.uniform(size=(3, cells, cells)).astype(np.float32)
    pasted = render_masks(tf.constant(masks), tf.constant(boxes), tf.eye(3), size, 0.4).numpy()

    assert pasted.shape == (3, *size)
    for i in range(3):
        expected = slow_probabilities(masks[i], boxes[i], *size)
        clear = np.abs(expected - 0.4) > 1e-4
        np.testing.assert_array_equal(pasted[i][clear], expected[clear] > 0.4)


@pytest.mark.parametrize(
    ("box", "pixels"),
    [
        ((2, 3, 3, 4), [(2, 3)]),
        ((2, 3, 4, 4), [(2, 3), (3, 3)]),
        ((-5, -5, 1, 1), [(0, 0)]),
        ((2, 3, 2, 4), []),
        ((2.6, 3.6, 3.4, 4.4), []),
        ((-9, -9, -2, -2), []),
        ((50, 50, 60, 60), []),
    ],
)
def test_covers_the_pixels_whose_centres_are_in_the_box(box, pixels):
    pasted = render_masks(tf.ones([1, 3, 3]), tf.constant([box], tf.float32), ALONE, (6, 7), 0.5).numpy()[0]
    assert list(zip(*np.nonzero(pasted), strict=True)) == pixels


def test_no_detections_make_no_masks():
    @tf.function(input_signature=[tf.TensorSpec(shape) for shape in ([None, None, None], [None, 4], [None, None])])
    def compiled(masks, boxes, votes):
        return render_masks(masks, boxes, votes, (4, 5), 0.5)

    for rois in (0, 2):
        arguments = tf.zeros([rois, 3, 3]), tf.zeros([rois, 4]), tf.zeros([0, rois])
        assert compiled(*arguments).shape == render_masks(*arguments, (4, 5), 0.5).shape == (0, 4, 5)


@pytest.mark.parametrize("threshold_first", [False, True])
def test_a_detection_without_votes_has_an_empty_mask(threshold_first):
    masks = render_masks(tf.ones([2, 3, 3]), [[0.0, 0, 4, 4]] * 2, tf.eye(3, 2), (4, 5), 0.5, threshold_first)
    assert [bool(mask.any()) for mask in masks.numpy()] == [True, True, False]


def test_a_probability_at_the_threshold_is_outside():
    box = tf.constant([[0.0, 0.0, 2.0, 2.0]])
    assert not render_masks(tf.fill([1, 2, 2], 0.5), box, ALONE, (2, 2), 0.5).numpy().any()
    assert render_masks(tf.fill([1, 2, 2], 0.51), box, ALONE, (2, 2), 0.5).numpy().all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), threshold_first=st.booleans())
def test_votes_are_averaged_at_every_pixel(seed, threshold_first):
    rng = np.random.default_rng(seed)
    height, width, regions = 12, 15, 5
    low = rng.uniform(-4, 10, (regions, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 12, (regions, 2))], axis=1).astype(np.float32)
    masks = rng.uniform(size=(regions, 4, 4)).astype(np.float32)
    votes = rng.uniform(size=(3, regions)) * (rng.random((3, regions)) < 0.6)
    votes /= np.maximum(votes.sum(axis=1, keepdims=True), 1e-9)
    rendered = render_masks(masks, boxes, votes.astype(np.float32), (height, width), 0.4, threshold_first).numpy()

    boxes = np.round(boxes) if threshold_first else boxes
    each = np.array([slow_probabilities(m, b, height, width) for m, b in zip(masks, boxes, strict=True)])
    sure = np.abs(each - 0.4).min(axis=0) > 1e-4 if threshold_first else True
    mean = np.tensordot(votes, each > 0.4 if threshold_first else each, 1)
    clear = (np.abs(mean - 0.4) > 1e-4) & sure
    np.testing.assert_array_equal(rendered[clear], mean[clear] > 0.4)


def test_an_instance_reaches_beyond_a_region_that_cuts_it_off():
    rois = [[0.0, 0.0, 4.0, 3.0], [0.0, 0.0, 6.0, 3.0]]
    masks = render_masks(tf.ones([2, 3, 3]), rois, [[0.5, 0.5], [1.0, 0.0]], (8, 3), 0.4).numpy()
    assert [mask[:, 0].sum() for mask in masks] == [6, 4]
