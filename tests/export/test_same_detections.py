"""The exported model against the Python model, on photographs."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from fcis_tf.config import Config
from fcis_tf.export import ServingOptions, export_savedmodel
from fcis_tf.inference import Predictor
from fcis_tf.inference.photograph import read_photograph
from fcis_tf.ops import use_implementation
from tests.export.area_masks import area_masks
from tests.export.confident_model import confident_model

IMAGES = Path(__file__).parents[3] / "shared" / "data" / "coco100" / "images"
SCENES = {"format": "digits", "split": "eval", "scenes": 1}
MASK_SIZE = 56


def config():
    return Config.model_validate(
        {
            "model": {"backbone": "resnet50"},
            "data": {"train": SCENES, "eval": SCENES},
            "inference": {"score_threshold": 0.3},
        }
    )


def differences(found, expected):
    """Returns the greatest differences of boxes and scores and the least IoU of masks; infinite for other classes."""
    if found.classes.tolist() != expected.classes.tolist():
        return np.inf, np.inf, 0.0
    if not len(expected.scores):
        return 0.0, 0.0, 1.0
    return (
        np.abs(found.boxes - expected.boxes).max(),
        np.abs(found.scores - expected.scores).max(),
        _ious(found.masks, expected.masks).min(),
    )


def differences_of_answer(answer, expected, image):
    """Does the same for a server's answer: its masks are compared within their boxes, as areas."""
    count = int(answer["num_detections"][0])
    answer = {name: values.numpy()[0, :count] for name, values in answer.items() if name != "num_detections"}
    found = expected._replace(
        boxes=answer["detection_boxes"] * (2 * image.shape[:2]),
        scores=answer["detection_scores"],
        classes=answer["detection_classes"].astype(int),
        masks=answer["detection_masks"],
    )
    return differences(found, expected._replace(masks=area_masks(expected.masks, expected.boxes, MASK_SIZE)))


def _ious(masks, others):
    return np.minimum(masks, others).sum(axis=(1, 2)) / np.maximum(masks, others).sum(axis=(1, 2))


@pytest.mark.slow
@pytest.mark.skipif(not IMAGES.is_dir(), reason="the photographs are not on this machine")
def test_exported_portable_and_native_find_the_same(tmp_path):
    paths = sorted(IMAGES.glob("*.jpg"))[:20]
    trained = confident_model(config(), 80, read_photograph(paths[0]), spread=5.0)
    export_savedmodel(trained, ServingOptions(mask_size=MASK_SIZE), tmp_path / "1")
    model = tf.saved_model.load(str(tmp_path / "1"))
    portable, native = (Predictor(trained.model, trained.config, freeze=True) for _ in range(2))
    detections, rows = 0, []
    for path in paths:
        image = read_photograph(path)
        with use_implementation("portable"):
            expected = portable.predict(image)
        with use_implementation("native"):
            rows.append(differences(native.predict(image), expected))
        answer = model.signatures["serving_default"](tf.constant([path.read_bytes()]))
        rows.append(differences_of_answer(answer, expected, image))
        detections += len(expected.scores)
        print(path.name, len(expected.scores), *rows[-2:], flush=True)
    boxes, scores, ious = np.transpose(rows)
    assert detections > 100
    assert boxes.max() <= 0.01 and scores.max() <= 1e-4 and ious.min() >= 0.999
