"""Rendering of masks, against a reading pixel by pixel."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fcis_tf.inference import paste_masks


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
    pasted = paste_masks(tf.constant(masks), tf.constant(boxes), size, 0.4).numpy()

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
    pasted = paste_masks(tf.ones([1, 3, 3]), tf.constant([box], tf.float32), (6, 7), 0.5).numpy()[0]
    assert list(zip(*np.nonzero(pasted), strict=True)) == pixels


def test_no_detections_make_no_masks():
    @tf.function(input_signature=[tf.TensorSpec([None, None, None]), tf.TensorSpec([None, 4])])
    def compiled(masks, boxes):
        return paste_masks(masks, boxes, (4, 5), 0.5)

    assert compiled(tf.zeros([0, 3, 3]), tf.zeros([0, 4])).shape == (0, 4, 5)
    assert paste_masks(tf.zeros([0, 3, 3]), tf.zeros([0, 4]), (4, 5), 0.5).shape == (0, 4, 5)


def test_a_probability_at_the_threshold_is_outside():
    box = tf.constant([[0.0, 0.0, 2.0, 2.0]])
    assert not paste_masks(tf.fill([1, 2, 2], 0.5), box, (2, 2), 0.5).numpy().any()
    assert paste_masks(tf.fill([1, 2, 2], 0.51), box, (2, 2), 0.5).numpy().all()
