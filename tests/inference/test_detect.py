"""Selection of detections, against a plain reading of per-class non-maximum suppression."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fcis_tf.config import InferenceConfig
from fcis_tf.inference import detect

IMAGE_SIZE = (90, 120)


def random_outputs(rng, images, rois, classes, side=3):
    low = rng.uniform(0, 60, (images, rois, 2))
    high = np.minimum(low + rng.uniform(1, 60, (images, rois, 2)), IMAGE_SIZE)
    return {
        "rois": np.concatenate([low, high], axis=-1).astype(np.float32),
        "rois_valid": rng.uniform(size=(images, rois)) < 0.9,
        "class_probs": softmax(rng.normal(0, 2, (images, rois, classes + 1))).astype(np.float32),
        "mask_probs": rng.uniform(size=(images, rois, side, side)).astype(np.float32),
    }


def run_detect(outputs, config):
    sizes = np.tile(np.int32([IMAGE_SIZE]), (len(outputs["rois"]), 1))
    detections = detect({name: tf.constant(value) for name, value in outputs.items()}, tf.constant(sizes), config)
    return {name: value.numpy() for name, value in detections.items()}


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def iou(a, b):
    sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), np.float32(0))
    overlap = sides[0] * sides[1]
    return overlap / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - overlap)


def slow_selection(boxes, valid, probabilities, config):
    """Every class on its own, then the best of all: a list of (score, class, region)."""
    kept = []
    for label in range(1, probabilities.shape[1]):
        scores = probabilities[:, label]
        of_class = []
        for roi in np.argsort(-scores):
            candidate = valid[roi] and scores[roi] > config.score_threshold
            if candidate and all(iou(boxes[roi], boxes[other]) <= config.nms_threshold for other in of_class):
                of_class.append(roi)
        kept += [(scores[roi], label, roi) for roi in of_class]
    return sorted(kept, reverse=True)[: config.max_detections]


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    images=st.integers(1, 2),
    rois=st.integers(1, 30),
    classes=st.integers(1, 4),
    nms_threshold=st.sampled_from([0.0, 0.3, 0.7, 1.0]),
    max_detections=st.sampled_from([1, 20]),
)
def test_selects_as_suppression_of_every_class_on_its_own(seed, images, rois, classes, nms_threshold, max_detections):
    config = InferenceConfig(
        mask_voting=False, nms_threshold=nms_threshold, max_detections=max_detections, score_threshold=0.05
    )
    outputs = random_outputs(np.random.default_rng(seed), images, rois, classes)
    detections = run_detect(outputs, config)

    for i in range(images):
        boxes, valid, probabilities = (outputs[name][i] for name in ("rois", "rois_valid", "class_probs"))
        expected = slow_selection(boxes, valid, probabilities, config)
        count = detections["num_detections"][i]
        assert count == len(expected)
        np.testing.assert_array_equal(detections["classes"][i, :count], [label for _, label, _ in expected])
        np.testing.assert_allclose(detections["scores"][i, :count], [score for score, _, _ in expected], rtol=1e-5)
        chosen = np.array([roi for _, _, roi in expected], int)
        np.testing.assert_array_equal(detections["boxes"][i, :count], boxes[chosen])
        np.testing.assert_array_equal(detections["votes"][i, :count], np.eye(rois)[chosen])
        np.testing.assert_array_equal(detections["rois"][i], boxes)
        np.testing.assert_array_equal(detections["roi_masks"][i], outputs["mask_probs"][i])


def test_pads_with_zeros():
    outputs = random_outputs(np.random.default_rng(0), images=2, rois=3, classes=1)
    outputs["rois_valid"][1] = False
    detections = run_detect(outputs, InferenceConfig(mask_voting=False, max_detections=5))

    assert detections["num_detections"][1] == 0
    for name in ("boxes", "scores", "classes", "votes"):
        assert detections[name].shape[:2] == (2, 5)
        assert not detections[name][1].any()


def test_one_region_may_be_kept_for_two_classes():
    outputs = random_outputs(np.random.default_rng(0), images=1, rois=1, classes=2)
    outputs["rois_valid"][:] = True
    outputs["class_probs"][:] = [0.1, 0.4, 0.5]
    detections = run_detect(outputs, InferenceConfig(mask_voting=False, max_detections=5))

    np.testing.assert_array_equal(detections["classes"][0], [2, 1, 0, 0, 0])
    np.testing.assert_array_equal(detections["votes"][0, 0], detections["votes"][0, 1])


def test_empty_boxes_do_not_come_twice():
    outputs = random_outputs(np.random.default_rng(0), images=1, rois=1, classes=1)
    outputs["rois"][:] = 7.0
    outputs["rois_valid"][:] = True
    detections = run_detect(outputs, InferenceConfig(mask_voting=False, max_detections=3))
    assert detections["num_detections"][0] == 1


def test_clips_boxes_to_the_image():
    outputs = random_outputs(np.random.default_rng(0), images=1, rois=1, classes=1)
    outputs["rois"][:] = [-5.0, -5.0, 300.0, 300.0]
    outputs["rois_valid"][:] = True
    detections = run_detect(outputs, InferenceConfig(mask_voting=False, max_detections=1))
    np.testing.assert_array_equal(detections["boxes"][0, 0], [0, 0, *IMAGE_SIZE])


def test_one_graph_serves_every_shape():
    config = InferenceConfig(mask_voting=False, max_detections=4)
    traces = []

    @tf.function(
        input_signature=[
            {
                "rois": tf.TensorSpec([None, None, 4]),
                "rois_valid": tf.TensorSpec([None, None], tf.bool),
                "class_probs": tf.TensorSpec([None, None, None]),
                "mask_probs": tf.TensorSpec([None, None, None, None]),
            },
            tf.TensorSpec([None, 2], tf.int32),
        ]
    )
    def compiled(outputs, image_sizes):
        traces.append(1)
        return detect(outputs, image_sizes, config)

    for images, rois, classes in ((1, 3, 2), (2, 9, 1), (1, 1, 3)):
        outputs = random_outputs(np.random.default_rng(0), images, rois, classes)
        detections = compiled(
            {name: tf.constant(value) for name, value in outputs.items()}, tf.constant([IMAGE_SIZE] * images)
        )
        assert detections["boxes"].shape == (images, 4, 4)
    assert len(traces) == 1
