"""export_savedmodel.py from the command line, with a stand-in for the trained network."""

from types import SimpleNamespace

import pytest
import tensorflow as tf
import yaml

from tests.inference.quarter_model import QuarterModel
from tests.tiny_config import tiny_values


@pytest.fixture
def model_dir(tmp_path, monkeypatch):
    """A model directory, whose network is a QuarterModel."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.yaml").write_text(yaml.safe_dump(tiny_values()))

    def load_trained(path, config):
        return SimpleNamespace(model=QuarterModel(), config=config, class_names=["a", "b"], category_ids=[1, 2])

    monkeypatch.setattr("fcis_tf.model_directory.load_trained", load_trained)
    return path


def test_exports_a_model_and_says_how_to_serve_it(run, model_dir, tmp_path, capsys):
    out = tmp_path / "fcis" / "12"
    arguments = "--mask-size", "7", "--min-score", "0.25", "--override", "inference.max_detections=5"
    assert run("export_savedmodel.py", "--model-dir", model_dir, "--out", out, *arguments) == 0
    output = capsys.readouterr().out
    for text in ("serving_default", "serve_tensor", "7 x 7", f"-v {out.parent}:/models/fcis", "serving.client"):
        assert text in output
    config = yaml.safe_load((out / "assets" / "config.yaml").read_text())
    assert config["inference"]["score_threshold"] == 0.25
    answer = tf.saved_model.load(str(out)).signatures["serve_tensor"](images=tf.zeros([2, 40, 60, 3], tf.uint8))
    assert answer["detection_masks"].shape == (2, 5, 7, 7)
    assert answer["num_detections"].numpy().tolist() == [1, 1]
    assert answer["detection_class_entities"].numpy()[:, 0].tolist() == [b"b", b"b"]
    assert answer["detection_boxes"].numpy()[:, 0].tolist() == 2 * [[0, 0, 0.5, 0.5]]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--mask-size", "0"], "--mask-size: expected a whole number in 1..1024, found 0"),
        (["--mask-size", "2000"], "--mask-size: expected a whole number in 1..1024, found 2000"),
        (["--max-pixels", "-5"], "--max-pixels: expected a whole number in 1.."),
        (["--max-batch-size", "many"], "--max-batch-size: expected a whole number in 1..1024, found many"),
        (["--min-score", "2"], "inference.score_threshold"),
        (["--override", "inference.max_detections=0"], "inference.max_detections"),
        (["--override", "model.backbone=resnet50", "--model-dir", "missing"], "--model-dir missing: no such directory"),
        (["--out", "model"], "--out model: expected a directory named by the model's version"),
        (["--out", str(2**63)], f"--out {2**63}: expected a directory named by the model's version"),
    ],
)
def test_wrong_arguments_are_one_line_and_write_nothing(run, model_dir, tmp_path, capsys, arguments, message):
    assert run("export_savedmodel.py", "--model-dir", model_dir, "--out", tmp_path / "fcis" / "1", *arguments) == 2
    error = capsys.readouterr().err
    # argparse shows the usage before its line.
    assert message in error.splitlines()[-1] and "Traceback" not in error
    assert not (tmp_path / "fcis").exists()


def test_a_version_that_is_there_is_not_replaced(run, model_dir, tmp_path, capsys):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").touch()
    assert run("export_savedmodel.py", "--model-dir", model_dir, "--out", tmp_path / "1") == 2
    error = capsys.readouterr().err
    assert "already there; name another version" in error and error.count("\n") == 1
    assert [path.name for path in (tmp_path / "1").iterdir()] == ["saved_model.pb"]


def test_native_operators_must_be_there(run, model_dir, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("fcis_tf.ops.native.reason_for_absence", lambda: "they were not built")
    assert run("export_savedmodel.py", "--model-dir", model_dir, "--out", tmp_path / "1", "--native-ops") == 2
    assert "--native-ops: these operators cannot be used, since they were not built" in capsys.readouterr().err
