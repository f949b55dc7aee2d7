"""Batch prediction of a hundred photographs, undisturbed and killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

pytest.importorskip("apache_beam")

from fcis_tf.config import Config
from fcis_tf.export import ServingOptions, export_savedmodel
from fcis_tf.inference import Predictor
from fcis_tf.inference.photograph import read_photograph
from fcis_tf.inference.predict_files import predict_files
from tests.batch_predict.coco_results import by_image, lines
from tests.batch_predict.image_folder import BAD, GOOD, fill_folder
from tests.export.confident_model import confident_model

ROOT = Path(__file__).parents[2]
IMAGES = ROOT.parent / "shared" / "data" / "coco100" / "images"
SCENES = {"format": "digits", "split": "eval", "scenes": 1}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not IMAGES.is_dir(), reason="the photographs are not on this machine"),
]


@pytest.fixture(scope="module")
def trained():
    data = {"train": SCENES, "eval": SCENES, "short_side": 320, "long_side": 534}
    values = {"model": {"backbone": "resnet18"}, "data": data, "inference": {"score_threshold": 0.3}}
    first = read_photograph(min(IMAGES.glob("*.jpg")))
    return confident_model(Config.model_validate(values), 80, first, spread=5.0)


@pytest.fixture(scope="module")
def command(trained, tmp_path_factory):
    """Returns the command that predicts a hundred photographs and ten files that are none, but for --output."""
    directory = tmp_path_factory.mktemp("photographs")
    fill_folder(directory / "images")
    for name in GOOD:
        (directory / "images" / name).unlink()
    # Too large only for the model of other tests.
    (directory / "images" / "large.png").write_bytes(b"large")
    for path in IMAGES.glob("*.jpg"):
        shutil.copy(path, directory / "images")
    export_savedmodel(trained, ServingOptions(), directory / "1")
    arguments = "--model", directory / "1", "--input", directory / "images" / "*.*", "--workers", 2, "--output"
    return [sys.executable, "-m", "fcis_tf.batch_predict", *map(str, arguments)]


@pytest.fixture(scope="module")
def whole(command, tmp_path_factory):
    """Returns the prefix of an uninterrupted run's files, and what it said."""
    prefix = tmp_path_factory.mktemp("whole") / "found"
    run = subprocess.run([*command, prefix], cwd=ROOT, capture_output=True, text=True, check=True)
    return prefix, run.stdout


def count_same(found, expected):
    """Returns how many of the expected results of an image are found."""
    return sum(any(is_same(result, other) for other in found) for result in expected)


def is_same(result, other):
    return (
        all(result[name] == other[name] for name in ("image_id", "category_id"))
        and abs(result["score"] - other["score"]) <= 1e-4
        and np.abs(np.subtract(result["bbox"], other["bbox"])).max() <= 1
        and coco_mask.iou([result["segmentation"]], [other["segmentation"]], [0])[0, 0] >= 0.99
    )


def test_two_processes_find_what_predict_py_finds_and_tell_the_bad_files(whole, trained, tmp_path):
    predictor = Predictor(trained.model, trained.config)
    predict_files(predictor, IMAGES.glob("*.jpg"), tmp_path, trained.class_names, trained.category_ids)
    expected = by_image(json.loads((tmp_path / "instances.json").read_text()))
    prefix, text = whole
    found = by_image(lines(prefix))
    assert found.keys() == expected.keys()
    # Exported weights are constants, which TensorFlow folds: a score at a threshold, a pixel at an edge may differ.
    total = sum(map(len, expected.values()))
    assert total > 5000 and abs(sum(map(len, found.values())) - total) <= 0.002 * total
    assert sum(count_same(found[name], results) for name, results in expected.items()) >= 0.998 * total
    assert sorted(entry["file_name"] for entry in lines(prefix, ".bad-*")) == sorted(BAD)
    assert "in 100 images" in text and "10 bad images" in text


@pytest.mark.parametrize("shards", [1, 4, 7])
def test_a_run_that_was_killed_goes_on_and_gives_the_same_bytes(command, whole, tmp_path, shards):
    process = subprocess.Popen([*command, tmp_path / "found"], cwd=ROOT)
    while len(list(tmp_path.glob("found-*.jsonl"))) < shards:
        assert process.poll() is None
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(list(tmp_path.glob("found-*.jsonl"))) < 8
    subprocess.run([*command, tmp_path / "found"], cwd=ROOT, check=True)
    contents = [{path.name: path.read_bytes() for path in parent.iterdir()} for parent in (tmp_path, whole[0].parent)]
    assert contents[0] == contents[1]
