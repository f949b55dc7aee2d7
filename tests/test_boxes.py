"""Arithmetic of boxes, against counting pixels and against loops."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fcis_tf import boxes

SIDE = 12
CORNERS = st.tuples(*[st.integers(0, SIDE)] * 4)


def pixels(box):
    """The pixels of a canvas that a box of whole numbers covers."""
    canvas = np.zeros((SIDE, SIDE), bool)
    canvas[box[0] : box[2], box[1] : box[3]] = True
    return canvas


@settings(deadline=None)
@given(CORNERS)
def test_mirrored_boxes_cover_the_mirrored_pixels(box):
    mirrored = boxes.mirror(tf.constant([box], tf.float32), float(SIDE))
    np.testing.assert_array_equal(pixels(np.int32(mirrored)[0]), pixels(box)[:, ::-1])


@settings(deadline=None)
@given(st.lists(CORNERS, max_size=4), st.lists(CORNERS, max_size=3))
def test_areas_and_overlaps_count_pixels(first, second):
    a, b = (tf.reshape(tf.constant(x, tf.float32), [-1, 4]) for x in (first, second))
    np.testing.assert_array_equal(boxes.area(a), [pixels(box).sum() for box in first])
    shared = np.array([[(pixels(x) & pixels(y)).sum() for y in second] for x in first]).reshape(len(first), len(second))
    union = np.array([[(pixels(x) | pixels(y)).sum() for y in second] for x in first]).reshape(shared.shape)
    area = np.array([pixels(x).sum() for x in first])[:, None]
    np.testing.assert_array_equal(boxes.intersection(a, b), shared)
    np.testing.assert_allclose(boxes.iou(a, b), shared / np.maximum(union, 1), rtol=1e-6)
    np.testing.assert_allclose(boxes.covered_fraction(a, b), shared / np.maximum(area, 1), rtol=1e-6)


def test_overlaps_are_of_the_images_own_boxes():
    a = tf.constant([[[0.0, 0, 2, 2]], [[5, 5, 7, 7]]])
    np.testing.assert_array_equal(boxes.iou(a, a), [[[1]], [[1]]])
    np.testing.assert_array_equal(boxes.iou(a, a[::-1]), [[[0]], [[0]]])


def test_encoding_by_hand():
    # From a box of 10 x 20 centred on (5, 10) to one of 20 x 10 centred on (15, 5).
    offsets = boxes.encode(tf.constant([[5.0, 0, 25, 10]]), tf.constant([[0.0, 0, 10, 20]]))
    np.testing.assert_allclose(offsets, [[1, -0.25, np.log(2), -np.log(2)]], rtol=1e-6)


@given(st.integers(0, 2**32 - 1))
def test_decoding_undoes_encoding(seed):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-50, 1000, (2, 5, 2))
    both = np.concatenate([corners, corners + rng.uniform(10, 400, (2, 5, 2))], axis=-1).astype(np.float32)
    decoded = boxes.decode(boxes.encode(both[0], both[1]), both[1])
    np.testing.assert_allclose(decoded, both[0], atol=1e-2)


def test_decoding_cannot_overflow():
    decoded = boxes.decode(tf.constant([[0.0, 0, 1e30, 1e30]]), tf.constant([[0.0, 0, 16, 16]]))
    np.testing.assert_allclose(decoded, [[-492, -492, 508, 508]], rtol=1e-5)


def test_clipping_is_to_each_images_own_size():
    given_ = tf.constant([[[-5.0, -5, 30, 40]]] * 2)
    np.testing.assert_array_equal(boxes.clip(given_, [[20, 50], [60, 10]]), [[[0, 0, 20, 40]], [[0, 0, 30, 10]]])


@given(st.integers(0, 2**32 - 1), st.integers(0, 4))
def test_tight_boxes_hold_all_pixels_and_no_empty_border(seed, count):
    rng = np.random.default_rng(seed)
    masks = rng.uniform(size=(count, 7, 9)) < rng.uniform(0.02, 0.3)
    masks[:, rng.integers(7), rng.integers(9)] = True
    found = boxes.tight_boxes(tf.constant(masks)).numpy()
    assert found.shape == (count, 4) and found.dtype == np.float32
    for mask, box in zip(masks, found.astype(int), strict=True):
        rows, columns = np.nonzero(mask)
        assert box.tolist() == [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (9, 9, 2, 2)])
def test_empty_and_inverted_boxes_overlap_nothing(box):
    box, other = tf.constant([box], tf.float32), tf.constant([[0.0, 0, 10, 10]])
    for function in (boxes.intersection, boxes.iou, boxes.covered_fraction):
        assert function(box, other).numpy().item() == 0
