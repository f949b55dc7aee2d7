"""Mask voting, against ChainerCV's outputs and a slow reading of its definition."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from fcis_tf.config import InferenceConfig
from fcis_tf.inference import detect, mask_voting
from fcis_tf.inference.mask_voting import voting_weights

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"
LIMITS = {
    "score_threshold": 0.1,
    "nms_threshold": 0.3,
    "merge_threshold": 0.5,
    "binary_threshold": 0.4,
    "max_detections": 5,
}


def pasted_by_chainercv(mask, box, image_size):
    """A mask of 21 x 21 cells in its box of whole pixels, resized as ChainerCV does, over 0.4."""
    ymin, xmin, ymax, xmax = box.astype(int)
    resized = Image.fromarray(mask).resize((xmax - xmin, ymax - ymin), Image.Resampling.BILINEAR)
    pasted = np.zeros(image_size, bool)
    pasted[ymin:ymax, xmin:xmax] = np.asarray(resized) >= 0.4
    return pasted


def mask_iou(a, b):
    return (a & b).sum() / max((a | b).sum(), 1)


@pytest.mark.parametrize("name", ["small", "dense"])
def test_equals_chainercv(name):
    path = REFERENCE / f"mask_voting_{name}.npz"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    case = np.load(path)
    thresholds = ("score_threshold", "nms_threshold", "merge_threshold", "binary_threshold")
    limits = {key: float(case[key]) for key in thresholds}
    size = tuple(case["image_size"].tolist())
    arguments = case["mask_probs"], case["boxes"], case["class_probs"], size
    boxes, classes, scores, masks = mask_voting(*arguments, **limits, max_detections=100, threshold_first=True)
    # ChainerCV goes through the classes one by one, and counts them from 0.
    order = np.lexsort((-case["out_scores"], case["out_labels"]))
    ours = np.lexsort((-scores.numpy(), classes.numpy()))
    np.testing.assert_array_equal(classes.numpy()[ours], case["out_labels"][order] + 1)
    np.testing.assert_allclose(scores.numpy()[ours], case["out_scores"][order], rtol=1e-5)
    for i, j in zip(ours, order, strict=True):
        theirs = pasted_by_chainercv(case["out_mask_probs"][j], case["out_boxes"][j], size)
        np.testing.assert_array_equal(boxes[i], case["out_boxes"][j])
        # ChainerCV's answer went through 21 x 21 cells, which slivers of a few pixels do not survive unchanged.
        width = np.diff(case["out_boxes"][j].reshape(2, 2), axis=0).min()
        assert mask_iou(masks[i].numpy(), theirs) >= (0.9 if width > 5 else 0.8)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def overlap(a, b):
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = np.prod(np.maximum(sides, 0))
    return shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared)


@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_weights_are_the_scores_of_the_overlapping_regions(threshold):
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 30, [2, 12, 2])
    boxes = np.concatenate([corners, corners + rng.uniform(15, 40, [2, 12, 2])], axis=-1).astype(np.float32)
    valid = rng.random([2, 12]) < 0.8
    valid[:, :3] = True
    probs = softmax(rng.normal(size=[2, 12, 3])).astype(np.float32)
    regions, classes = np.int32([[2, 0, 0], [1, 2, 0]]), np.int32([[1, 2, 1], [2, 2, 0]])
    weights = voting_weights(boxes, valid, probs, regions, classes, threshold).numpy()
    for image in range(2):
        for i, (region, label) in enumerate(zip(regions[image], classes[image], strict=True)):
            votes = [
                v and label > 0 and overlap(boxes[image, region], box) >= threshold
                for v, box in zip(valid[image], boxes[image], strict=True)
            ]
            expected = probs[image, :, label] * votes
            np.testing.assert_allclose(weights[image, i], expected / max(expected.sum(), 1e-9), rtol=1e-5)


def test_padding_has_no_votes_and_a_region_without_extent_votes_for_itself():
    boxes, probs = tf.constant([[[5.0, 5, 5, 5], [0, 0, 9, 9]]]), tf.constant([[[0.2, 0.8], [0.9, 0.1]]])
    weights = voting_weights(boxes, tf.ones([1, 2], tf.bool), probs, tf.constant([[0, 0]]), tf.constant([[1, 0]]), 0.5)
    np.testing.assert_array_equal(weights, [[[1, 0], [0, 0]]])


def test_the_function_and_the_detector_find_the_same():
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 20, [10, 2])
    boxes = np.concatenate([corners, corners + rng.uniform(5, 20, [10, 2])], axis=-1).astype(np.float32)
    class_probs, mask_probs = softmax(rng.normal(size=[10, 3]) * 2), rng.uniform(size=[10, 4, 4])
    found = mask_voting(mask_probs, boxes, class_probs, (40, 40), **LIMITS)
    regions = {"rois": boxes, "rois_valid": np.ones(10, bool), "class_probs": class_probs, "mask_probs": mask_probs}
    regions = {
        name: tf.cast(values[None], tf.bool if values.dtype == bool else tf.float32) for name, values in regions.items()
    }
    detections = detect(regions, tf.constant([[40, 40]]), InferenceConfig(**LIMITS))
    count = len(found[1])
    assert count == detections["num_detections"][0] > 0
    np.testing.assert_array_equal(found[1], detections["classes"][0, :count])
    np.testing.assert_allclose(found[2], detections["scores"][0, :count], rtol=1e-5)


def test_nothing_above_the_threshold():
    boxes, classes, scores, masks = mask_voting(np.ones([1, 2, 2]), [[0, 0, 4, 4]], [[0.95, 0.05]], (6, 7), **LIMITS)
    assert boxes.shape == (0, 4) and classes.shape == scores.shape == (0,) and masks.shape == (0, 6, 7)
