"""Evaluation on a data set, with detectors that know the truth."""

import numpy as np
import pytest
import tensorflow as tf

from fcis_tf.config import Config
from fcis_tf.data import evaluation_batches, load_dataset
from fcis_tf.evaluation import evaluate, metrics_table

SCENES = {"format": "digits", "split": "eval", "scenes": 3, "height": 128, "width": 160, "max_digits": 4}
CONFIG = Config.model_validate(
    {
        "data": {"train": SCENES, "eval": SCENES, "short_side": 256, "long_side": 400},
        # Crops of the visible part of a digit end in half-covered pixels.
        "inference": {"binary_threshold": 0.5},
    }
)


@pytest.fixture(scope="module")
def source():
    return load_dataset(CONFIG.data.eval, CONFIG.data.mask_size)


def detector_from(source, batch_size, change):
    """A detector that answers with the ground truth after `change` of each batch of it."""
    batches = iter(evaluation_batches(source, CONFIG.data, batch_size))

    def detector(images, image_sizes):
        batch = next(batches)
        np.testing.assert_array_equal(images, batch["images"])
        np.testing.assert_array_equal(image_sizes, batch["image_sizes"])
        detections = {
            "boxes": batch["boxes"],
            "scores": tf.cast(batch["classes"] > 0, tf.float32),
            "classes": batch["classes"],
            "num_detections": tf.reduce_sum(tf.cast(batch["classes"] > 0, tf.int32), axis=1),
            "rois": batch["boxes"],
            "roi_masks": tf.cast(batch["masks"], tf.float32),
            "votes": tf.eye(tf.shape(batch["boxes"])[1], batch_shape=[batch_size]),
        }
        return change(detections)

    return detector


@pytest.mark.parametrize("batch_size", [1, 2])
def test_perfect_detections(source, batch_size):
    detector = detector_from(source, batch_size, lambda detections: detections)
    metrics = evaluate(detector, source, CONFIG, progress=False, batch_size=batch_size)
    assert list(metrics.summary) == ["segm", "bbox"]
    for values in metrics.summary.values():
        assert list(values) == ["AP", "AP50", "AP75", "APs", "APm", "APl"]
        assert values["AP"] == pytest.approx(1.0)
        assert all(value == -1 or value == pytest.approx(1.0) for value in values.values())
    assert list(metrics.class_ap50) == source.class_names
    found = [value for values in metrics.class_ap50.values() for value in values.values()]
    assert set(np.round(found, 6)) <= {-1.0, 1.0} and 1.0 in found


def test_no_detections(source):
    def forget(detections):
        return detections | {"num_detections": tf.zeros_like(detections["num_detections"])}

    metrics = evaluate(detector_from(source, 1, forget), source, CONFIG, progress=False)
    assert metrics.summary["segm"]["AP"] == metrics.summary["bbox"]["AP50"] == 0


def test_wrong_classes(source):
    def confuse(detections):
        return detections | {"classes": detections["classes"] % 10 + 1}

    metrics = evaluate(detector_from(source, 1, confuse), source, CONFIG, progress=False)
    assert metrics.summary["segm"]["AP"] < 0.2


def test_half_masks_halve_masks_and_their_tight_boxes_alike(source):
    def cut(detections):
        left = tf.range(CONFIG.data.mask_size) < CONFIG.data.mask_size // 2
        return detections | {"roi_masks": detections["roi_masks"] * tf.cast(left, tf.float32)}

    metrics = evaluate(detector_from(source, 1, cut), source, CONFIG, progress=False)
    assert metrics.summary["segm"]["AP75"] < 0.2
    assert metrics.summary["bbox"]["AP75"] < 0.2


def test_the_table_shows_the_summary_and_every_class(source, capsys):
    detector = detector_from(source, 1, lambda detections: detections)
    metrics = evaluate(detector, source, CONFIG, progress=False)
    assert not capsys.readouterr().out
    lines = metrics_table(metrics).splitlines()
    assert lines[0].split() == ["AP", "AP50", "AP75", "APs", "APm", "APl"]
    assert lines[1].split()[:2] == ["masks", "1.000"] and lines[2].split()[:2] == ["boxes", "1.000"]
    assert lines[4].split() == ["AP50", "masks", "boxes"]
    present = {annotation["category_id"] for annotation in source.ground_truth().anns.values()}
    names = [name for name, id in zip(source.class_names, source.category_ids, strict=True) if id in present]
    assert [line.split()[0] for line in lines[5:]] == names
