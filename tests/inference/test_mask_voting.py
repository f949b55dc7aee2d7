"""Mask voting against a slow reading of its definition."""

import numpy as np
import pytest
import tensorflow as tf

from fcis_tf.inference.mask_voting import vote_masks

BINS, CLASSES, SIZE = 3, 2, 6


def random_outputs(seed, rois=12):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 30, [2, rois, 2])
    boxes = np.concatenate([corners, corners + rng.uniform(15, 40, [2, rois, 2])], axis=-1)
    return {
        "rois": boxes.astype(np.float32),
        "rois_valid": rng.random([2, rois]) < 0.8,
        "class_logits": rng.normal(size=[2, rois, CLASSES + 1]).astype(np.float32),
        "mask_logits": rng.normal(size=[2, rois, BINS, BINS, 2]).astype(np.float32),
    }


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def overlap(a, b):
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = np.prod(np.maximum(sides, 0))
    return shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared)


def probability_at(point, box, mask):
    """Bilinear between the centres of a mask's cells, 0 outside its box."""
    if not (np.all(point >= box[:2]) and np.all(point < box[2:])):
        return 0.0
    y, x = np.clip((point - box[:2]) / (box[2:] - box[:2]) * BINS - 0.5, 0, BINS - 1)
    y0, x0 = min(int(y), BINS - 2), min(int(x), BINS - 2)
    top = mask[y0, x0] * (x0 + 1 - x) + mask[y0, x0 + 1] * (x - x0)
    bottom = mask[y0 + 1, x0] * (x0 + 1 - x) + mask[y0 + 1, x0 + 1] * (x - x0)
    return top * (y0 + 1 - y) + bottom * (y - y0)


def slow_vote(outputs, image, box, label, threshold):
    rois, valid = outputs["rois"][image], outputs["rois_valid"][image]
    scores = softmax(outputs["class_logits"][image])[:, label]
    masks = softmax(outputs["mask_logits"][image])[..., 1]
    voters = [i for i in range(len(rois)) if valid[i] and overlap(box, rois[i]) >= threshold]
    around = np.concatenate([rois[voters, :2].min(axis=0), rois[voters, 2:].max(axis=0)])
    grid = np.zeros([SIZE, SIZE])
    for row in range(SIZE):
        for column in range(SIZE):
            point = around[:2] + (np.array([row, column]) + 0.5) / SIZE * (around[2:] - around[:2])
            votes = [scores[i] * probability_at(point, rois[i], masks[i]) for i in voters]
            grid[row, column] = sum(votes) / sum(scores[voters])
    return grid, around


@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_equals_the_definition(threshold):
    outputs = random_outputs(0)
    outputs["rois_valid"][:, :3] = True
    boxes = outputs["rois"][:, :3]
    classes = np.array([[1, 2, 1], [2, 2, 1]], np.int32)
    voted, mask_boxes = vote_masks(outputs, boxes, classes, threshold, SIZE)
    assert voted.shape == (2, 3, SIZE, SIZE)
    for image in range(2):
        for i in range(3):
            expected, around = slow_vote(outputs, image, boxes[image, i], classes[image, i], threshold)
            np.testing.assert_allclose(voted[image, i], expected, atol=1e-4)
            np.testing.assert_allclose(mask_boxes[image, i], around, rtol=1e-6)


def test_padding_has_no_mask():
    outputs = random_outputs(1)
    voted, mask_boxes = vote_masks(outputs, tf.zeros([2, 4, 4]), tf.zeros([2, 4], tf.int32), 0.5, SIZE)
    np.testing.assert_array_equal(voted, np.zeros([2, 4, SIZE, SIZE]))
    np.testing.assert_array_equal(mask_boxes, np.zeros([2, 4, 4]))


def test_a_region_alone_keeps_its_mask():
    outputs = {name: values[:1, :1] for name, values in random_outputs(2).items()}
    outputs["rois_valid"][:] = True
    voted, mask_boxes = vote_masks(outputs, outputs["rois"], np.array([[1]], np.int32), 0.5, BINS)
    np.testing.assert_array_equal(mask_boxes, outputs["rois"])
    np.testing.assert_allclose(voted[0, 0], softmax(outputs["mask_logits"])[0, 0, ..., 1], atol=1e-5)


def test_an_instance_reaches_beyond_a_detection_that_cuts_it_off():
    # Two regions of equal score: the detection, and one that goes on below it. Both are inside everywhere.
    outputs = {
        "rois": np.float32([[[0, 0, 20, 10], [0, 0, 30, 10]]]),
        "rois_valid": np.ones([1, 2], bool),
        "class_logits": np.zeros([1, 2, 2], np.float32),
        "mask_logits": np.tile(np.float32([-20, 20]), [1, 2, BINS, BINS, 1]),
    }
    voted, mask_boxes = vote_masks(outputs, outputs["rois"][:, :1], np.array([[1]], np.int32), 0.5, SIZE)
    np.testing.assert_array_equal(mask_boxes, [[[0, 0, 30, 10]]])
    np.testing.assert_allclose(voted[0, 0, :4], 1.0, atol=1e-5)
    np.testing.assert_allclose(voted[0, 0, 4:], 0.5, atol=1e-5)
