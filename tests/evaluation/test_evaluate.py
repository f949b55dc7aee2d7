"""Evaluation on a data set, with predictors that know the truth."""

import functools
import json
import logging

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from fcis_tf.config import Config, InferenceConfig
from fcis_tf.data import load_dataset
from fcis_tf.data.voc_classes import VOC_CLASSES
from fcis_tf.errors import UserError
from fcis_tf.evaluation import evaluate, metrics_table
from fcis_tf.inference import Instances, render_instances
from fcis_tf.training.evaluator import Evaluator
from tests.data.voc_folders import LABELS, write_sbd, write_voc

SCENES = {"format": "digits", "split": "eval", "scenes": 3, "height": 128, "width": 160, "max_digits": 4}
CONFIG = Config.model_validate(
    {
        "data": {"train": SCENES, "eval": SCENES},
    }
)


@pytest.fixture(scope="module")
def source():
    return load_dataset(CONFIG.data, "eval")


@functools.lru_cache(maxsize=1)
def examples_of(source):
    """All examples, read once for the tests that share a source."""
    return list(tf.data.Dataset.range(source.size).map(source.example))


class TruePredictor:
    """A predictor that answers with the ground truth after `change` of each image's detections."""

    def __init__(self, source, change=lambda detections: detections):
        self._examples = iter(examples_of(source))
        self._change = change

    def predict(self, image):
        example = next(self._examples)
        np.testing.assert_array_equal(image, example["image"])
        detections = {
            "boxes": example["boxes"],
            "scores": tf.ones_like(example["classes"], tf.float32),
            "classes": example["classes"],
            "num_detections": tf.size(example["classes"]),
            "rois": example["boxes"],
            "roi_masks": tf.cast(example["masks"], tf.float32),
            "votes": tf.eye(tf.size(example["classes"])),
        }
        # Crops of the visible part of a digit end in half-covered pixels.
        config = InferenceConfig(binary_threshold=0.5)
        instances = render_instances(self._change(detections), tf.shape(image)[:2], config)
        return Instances(*(tensor.numpy() for tensor in instances))


@pytest.fixture(scope="module")
def perfect(source):
    """The metrics of true detections."""
    return evaluate(TruePredictor(source), source, CONFIG, progress=False)


def test_perfect_detections(source, perfect):
    assert list(perfect.summary) == ["segm", "bbox"]
    for values in perfect.summary.values():
        assert list(values) == ["AP", "AP50", "AP75", "APs", "APm", "APl"]
        assert values["AP"] == pytest.approx(1.0)
        assert all(value == -1 or value == pytest.approx(1.0) for value in values.values())
    assert list(perfect.class_ap50) == source.class_names
    found = [value for values in perfect.class_ap50.values() for value in values.values()]
    assert set(np.round(found, 6)) <= {-1.0, 1.0} and 1.0 in found


def test_no_detections(source, capsys):
    def forget(detections):
        return detections | {"num_detections": tf.zeros_like(detections["num_detections"])}

    metrics = evaluate(TruePredictor(source, forget), source, CONFIG, progress=False)
    assert not capsys.readouterr().out
    assert metrics.summary["segm"]["AP"] == metrics.summary["bbox"]["AP50"] == 0


def test_wrong_classes(source):
    def confuse(detections):
        return detections | {"classes": detections["classes"] % 10 + 1}

    metrics = evaluate(TruePredictor(source, confuse), source, CONFIG, progress=False)
    assert metrics.summary["segm"]["AP"] < 0.2


def test_half_masks_halve_masks_and_their_tight_boxes_alike(source):
    def cut(detections):
        left = tf.range(CONFIG.data.mask_size) < CONFIG.data.mask_size // 2
        return detections | {"roi_masks": detections["roi_masks"] * tf.cast(left, tf.float32)}

    metrics = evaluate(TruePredictor(source, cut), source, CONFIG, progress=False)
    assert metrics.summary["segm"]["AP75"] < 0.2
    assert metrics.summary["bbox"]["AP75"] < 0.2


def test_the_table_shows_the_summary_and_every_class(source, perfect):
    lines = metrics_table(perfect).splitlines()
    assert lines[0].split() == ["AP", "AP50", "AP75", "APs", "APm", "APl"]
    assert lines[1].split()[:2] == ["masks", "1.000"] and lines[2].split()[:2] == ["boxes", "1.000"]
    assert lines[4].split() == ["AP50", "masks", "boxes"]
    present = {annotation["category_id"] for annotation in source.ground_truth().anns.values()}
    names = [name for name, id in zip(source.class_names, source.category_ids, strict=True) if id in present]
    assert [line.split()[0] for line in lines[5:]] == names


@pytest.fixture(params=["sbd", "voc"])
def voc_config(request, tmp_path):
    """A configuration of two images as VOC or SBD have them, each with a person and a horse."""
    names = ["2008_000002", "2008_000003"]
    if request.param == "sbd":
        write_sbd(tmp_path, train=[], val=names)
    else:
        write_voc(tmp_path, val=names)
    dataset = {"format": request.param, "root": tmp_path, "split": "val"}
    data = {"train": dataset, "eval": dataset, }
    return Config.model_validate({"data": data})


def keep_persons(detections):
    persons = tf.cast(detections["classes"] == LABELS[0], tf.float32)
    return detections | {"roi_masks": detections["roi_masks"] * persons[:, None, None]}


def test_vocs_metric_is_reported_on_voc(voc_config):
    source = load_dataset(voc_config.data, "eval")
    predictor = TruePredictor(source, keep_persons)
    metrics = evaluate(predictor, source, voc_config, progress=False)
    assert metrics.summary["segm"]["AP50"] == pytest.approx(0.5)
    classes = dict.fromkeys(source.class_names, -1) | {"person": 1, "horse": 0}
    expected = {"mAP50": 0.5, "mAP70": 0.5, "class_ap50": classes, "class_ap70": classes}
    assert metrics.voc == expected
    assert metrics.as_json() == {**metrics.summary, "voc": expected}
    lines = metrics_table(metrics).splitlines()
    table = [line.split() for line in lines[lines.index("") :]][-22:]
    assert table[0] == ["VOC", "mAP^r", "0.5", "0.7"] and table[1] == ["mean", "0.500", "0.500"]
    assert [row[0] for row in table[2:]] == source.class_names
    assert ["person", "1.000", "1.000"] in table and ["sheep", "-", "-"] in table


def test_vocs_means_are_curves_during_training(voc_config):
    source = load_dataset(voc_config.data, "eval")
    evaluator = Evaluator(TruePredictor(source, keep_persons), source, voc_config)
    values = evaluator.evaluate(-1)
    assert {name: value for name, value in values.items() if name.startswith("voc")} == {
        "voc/mAP50": 0.5,
        "voc/mAP70": 0.5,
    }
    assert "segm/AP" in values


@pytest.fixture
def photographs(tmp_path):
    """Returns a function that writes a data set of three images in COCO's format and returns its configuration."""

    def write(class_names=("thing",), damaged=(), strict=False):
        images, annotations = [], []
        for i in range(3):
            images.append({"id": i, "file_name": f"{i}.png", "height": 40, "width": 50 + i})
            annotations.append({"image_id": i, "category_id": 1, "segmentation": [[5, 5, 30, 5, 30, 25, 5, 25]]})
            Image.new("RGB", (50 + i, 40)).save(tmp_path / f"{i}.png")
        for i in damaged:
            (tmp_path / f"{i}.png").write_bytes((tmp_path / f"{i}.png").read_bytes()[:60])
        categories = [{"id": label, "name": name} for label, name in enumerate(class_names, start=1)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (tmp_path / "instances.json").write_text(json.dumps(content))
        dataset = {"format": "coco", "images": tmp_path, "annotations": tmp_path / "instances.json"}
        return Config.model_validate({"data": {"train": dataset, "eval": dataset, "strict": strict}})

    return write


class RectanglePredictor:
    """A predictor that finds the same rectangle in every image, the true one of `photographs`."""

    def predict(self, image):
        masks = np.zeros((1, *image.shape[:2]), bool)
        masks[0, 5:25, 5:30] = True
        return Instances(np.float32([[5, 5, 25, 30]]), np.int32([1]), np.float32([1]), masks)


def test_images_that_cannot_be_read_are_left_out_of_the_ground_truth_too(photographs, tmp_path, caplog):
    config = photographs(damaged=[0, 2])
    source = load_dataset(config.data, "eval")
    with caplog.at_level(logging.WARNING):
        metrics = evaluate(RectanglePredictor(), source, config, progress=False)
    assert metrics.summary["segm"]["AP50"] == pytest.approx(1)
    assert caplog.messages == ["data.eval: skipped images that cannot be read (2)"]


@pytest.mark.parametrize(
    ("damaged", "strict", "expected"),
    [
        ([1], True, "^data.eval: {folder}/1.png: not an image that can be read"),
        ([0, 1, 2], False, r"^data.eval: skipped .* \(3\); no image is left; for example {folder}/0.png: not an image"),
    ],
)
def test_images_that_cannot_be_read_are_an_error(photographs, tmp_path, damaged, strict, expected):
    config = photographs(damaged=damaged, strict=strict)
    source = load_dataset(config.data, "eval")
    with pytest.raises(UserError, match=expected.format(folder=tmp_path)):
        evaluate(RectanglePredictor(), source, config, progress=False)


def test_vocs_metric_goes_by_the_classes_not_by_the_format(photographs):
    config = photographs(class_names=VOC_CLASSES)
    metrics = evaluate(RectanglePredictor(), load_dataset(config.data, "eval"), config, progress=False)
    assert metrics.voc["class_ap70"]["aeroplane"] == metrics.voc["mAP50"] == 1


def test_vocs_metric_is_not_reported_elsewhere(perfect):
    assert perfect.voc is None and perfect.as_json() == perfect.summary
