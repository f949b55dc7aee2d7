"""The directory of an exported model."""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf
import yaml
from tensorflow_serving.apis import prediction_log_pb2

from fcis_tf.errors import UserError
from fcis_tf.export import ServingOptions, check_destination, decode_image_bytes, export_savedmodel
from fcis_tf.export.warmup_requests import WARMUP_FILE, write_warmup_requests
from tests.export.confident_model import confident_model
from tests.export.image_files import picture
from tests.tiny_config import tiny_config

ROOT = Path(__file__).parents[2]

EXPORT = """
import sys
from pathlib import Path
from tests.export.test_savedmodel import export_tiny
export_tiny(Path(sys.argv[1]))
"""


def export_tiny(out):
    trained = confident_model(tiny_config(), 3, picture(64, 96))
    export_savedmodel(dataclasses.replace(trained, class_names=["a", "b", "naïve"]), ServingOptions(mask_size=14), out)


def digests(directory):
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
    """The directories of two exports, each from a process of its own."""
    directories = [tmp_path_factory.mktemp("export") / "1" for _ in range(2)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for directory in directories:
        subprocess.run([sys.executable, "-c", EXPORT, directory], check=True, env=environment, cwd=ROOT)
    return directories


def test_two_exports_are_the_same_bytes(directories):
    first, second = (digests(directory) for directory in directories)
    assert first == second and len(first) == 7


def test_nothing_else_is_left_beside_it(directories):
    assert list(directories[0].parent.iterdir()) == [directories[0]]


def test_no_path_of_this_machine_is_in_it(directories):
    for path in directories[0].rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert str(ROOT).encode() not in content and str(directories[0].parent).encode() not in content


def test_classes_and_configuration_are_assets(directories):
    assets = directories[0] / "assets"
    classes = json.loads((assets / "classes.json").read_text())
    assert classes[2] == {"id": 3, "name": "naïve", "category_id": 30} and len(classes) == 3
    config = yaml.safe_load((assets / "config.yaml").read_text())
    assert list(config) == ["model", "data", "inference", "export"]
    assert config["data"] == {"short_side": 64, "long_side": 96} and config["export"]["mask_size"] == 14


def test_warmup_requests_are_answered(directories):
    signatures = tf.saved_model.load(str(directories[0])).signatures
    records = tf.data.TFRecordDataset(str(directories[0] / "assets.extra" / "tf_serving_warmup_requests"))
    served = []
    for record in records.as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        served.append(request.model_spec.signature_name)
        inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
        assert signatures[served[-1]](**inputs)["num_detections"].shape == (1,)
    assert served == ["serving_default", "serve_tensor"]


def test_an_export_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fill_disk(module, directory, signatures):
        Path(directory).mkdir()
        Path(directory, "saved_model.pb").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fcis_tf.export.savedmodel.serving_signatures", lambda *arguments: {})
    monkeypatch.setattr("tensorflow.saved_model.save", fill_disk)
    with pytest.raises(UserError, match="cannot write this directory: No space left on device"):
        export_savedmodel(None, ServingOptions(), tmp_path / "new" / "1")
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("name", ["model", "1.0", "-1", "²"])
def test_a_version_is_a_number(tmp_path, name):
    with pytest.raises(UserError, match="expected a directory named by the model's version, such as"):
        check_destination(tmp_path / name)


def test_an_empty_directory_may_be_there_but_nothing_else(tmp_path):
    (tmp_path / "1").mkdir()
    check_destination(tmp_path / "1")
    (tmp_path / "1" / "file").touch()
    (tmp_path / "2").touch()
    for name in ("1", "2"):
        with pytest.raises(UserError, match="already there; name another version"):
            check_destination(tmp_path / name)


def test_the_warm_up_image_is_within_the_limit(tmp_path):
    write_warmup_requests(tmp_path, max_pixels=100)
    (record, _) = tf.data.TFRecordDataset(str(tmp_path / WARMUP_FILE)).as_numpy_iterator()
    log = prediction_log_pb2.PredictionLog.FromString(record)
    (contents,) = tf.make_ndarray(log.predict_log.request.inputs["image_bytes"])
    assert decode_image_bytes(tf.constant(contents), 0, 100).shape == (10, 10, 3)
