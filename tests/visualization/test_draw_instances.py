"""Drawings of instances and of boxes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fcis_tf.visualization import draw_boxes, draw_instances
from fcis_tf.visualization.glyphs import class_label

NAMES = ["cat", "dog"]


def square_instance(height, width, box):
    ymin, xmin, ymax, xmax = box
    mask = np.zeros((1, height, width), bool)
    mask[:, ymin:ymax, xmin:xmax] = True
    return np.float32([box]), np.int32([2]), np.float32([0.7]), mask


def test_tints_the_mask_and_outlines_it():
    image = np.full((200, 300, 3), 128, np.uint8)
    box = (120, 100, 180, 220)
    drawn = draw_instances(image, *square_instance(200, 300, box), NAMES)

    inside, edge, outside = drawn[150, 160].astype(int), drawn[150, 100].astype(int), drawn[190, 20]
    np.testing.assert_array_equal(outside, [128, 128, 128])
    assert np.ptp(inside) > 20
    assert np.ptp(edge) > np.ptp(inside)
    np.testing.assert_array_equal(image, 128)


def test_labels_stand_above_the_box():
    image = np.full((200, 300, 3), 128, np.uint8)
    drawn = draw_instances(image, *square_instance(200, 300, (120, 100, 180, 220)), NAMES)
    assert (drawn[100:119, 100:140] != 128).any()
    assert (drawn[:90] == 128).all()


def test_labels_of_instances_at_one_place_do_not_hide_each_other():
    image = np.full((200, 300, 3), 128, np.uint8)
    boxes, classes, scores, masks = square_instance(200, 300, (120, 100, 180, 220))
    one = draw_instances(image, boxes, classes, scores, np.zeros_like(masks), NAMES)
    two = draw_instances(
        image, np.tile(boxes, (2, 1)), np.tile(classes, 2), None, np.zeros((2, 200, 300), bool), NAMES
    )
    assert (two[120:150, 100:120] != 128).any()
    assert (one[120:150, 100:120] == 128).all()


def test_labels_that_would_hide_instances_can_be_left_out():
    image = np.full((200, 300, 3), 128, np.uint8)
    # Small ones without a gap: any label covers some of them.
    boxes = np.float32([[y, x, y + 10, x + 10] for y in range(0, 200, 10) for x in range(0, 300, 10)])
    arguments = boxes, np.ones(len(boxes), int), None, np.zeros((len(boxes), 200, 300), bool), NAMES
    assert (draw_instances(image, *arguments) != 128).any()
    np.testing.assert_array_equal(draw_instances(image, *arguments, hide_nothing=True), image)


def test_names_are_cut_or_replaced_by_numbers():
    labels = [class_label(name, number) for number, name in enumerate(["cat", "n" * 40, "\u732b"], start=1)]
    assert labels == ["cat", "n" * 17 + "...", "class 3"]


def test_an_image_without_instances_is_left_alone():
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    nothing = np.zeros((0, 4)), np.zeros(0, int), np.zeros(0), np.zeros((0, 20, 30), bool)
    np.testing.assert_array_equal(draw_instances(image, *nothing, NAMES), image)
    np.testing.assert_array_equal(draw_boxes(image, np.zeros((0, 4)), np.zeros(0)), image)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**16), height=st.integers(1, 60), width=st.integers(1, 60), count=st.integers(0, 5))
def test_draws_on_images_of_every_size(seed, height, width, count):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    masks = rng.uniform(size=(count, height, width)) < rng.uniform(size=(count, 1, 1))
    boxes = rng.uniform(-20, 80, (count, 4)).astype(np.float32)
    drawn = draw_instances(image, boxes, rng.integers(1, 3, count), rng.uniform(size=count), masks, NAMES)
    assert drawn.shape == image.shape and drawn.dtype == np.uint8
    drawn = draw_boxes(image, np.sort(boxes.reshape(count, 2, 2), axis=1).reshape(count, 4), rng.uniform(size=count))
    assert drawn.shape == image.shape and drawn.dtype == np.uint8


@pytest.mark.parametrize("best", [0, 1])
def test_the_best_box_is_drawn_on_top(best):
    image = np.zeros((50, 50, 3), np.uint8)
    boxes = np.float32([[10, 10, 40, 40], [10, 10, 30, 30]])
    scores = np.float32([0.1, 0.1])
    scores[best] = 0.9
    alone = draw_boxes(image, boxes, scores)
    yellow, purple = alone[10, 20], alone[25, 10]
    np.testing.assert_array_equal(yellow, purple)
    assert yellow[1] > 128
