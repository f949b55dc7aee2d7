"""evaluate.py and predict.py from the command line, with a stand-in for the trained network."""

import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image

from fcis_tf.config import load_config
from fcis_tf.data import load_dataset
from tests.data.voc_folders import write_sbd
from tests.inference.quarter_model import QuarterModel

ROOT = Path(__file__).parents[1]
SCENES = {"format": "digits", "split": "eval", "scenes": 2, "height": 64, "width": 96}
VALUES = {"data": {"train": SCENES, "eval": SCENES, "short_side": 64, "long_side": 96}}


@pytest.fixture
def config_path(request, tmp_path):
    if hasattr(request, "param"):
        return request.getfixturevalue(request.param)
    path = tmp_path / "digits.yaml"
    path.write_text(yaml.safe_dump(VALUES))
    return path


@pytest.fixture
def sbd_path(tmp_path):
    """A configuration that evaluates on one of two images of SBD."""
    write_sbd(tmp_path / "sbd", train=["2008_000002"], val=["2008_000003"])
    (tmp_path / "val.txt").write_text("2008_000003\n2008_000008\n")
    data = {"format": "sbd", "root": str(tmp_path / "sbd"), "image_list": str(tmp_path / "val.txt")}
    path = tmp_path / "sbd.yaml"
    path.write_text(yaml.safe_dump({"data": {**VALUES["data"], "train": data, "eval": data}}))
    return path


@pytest.fixture
def model_dir(tmp_path, config_path, monkeypatch):
    """A model directory, whose network is a QuarterModel."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.yaml").write_text(config_path.read_text())
    config = load_config(config_path)
    source = load_dataset(config.data.eval, config.data.mask_size)
    trained = SimpleNamespace(
        model=QuarterModel(),
        config=config,
        class_names=source.class_names,
        category_ids=source.category_ids,
        step=5,
    )
    monkeypatch.setattr("fcis_tf.model_directory.load_trained", lambda path, config: trained)
    return path


@pytest.fixture
def run(monkeypatch):
    """Runs a program and returns its exit status, 0 for success."""

    def run_program(program, *arguments):
        monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            runpy.run_path(str(ROOT / program), run_name="__main__")
        return exit_.value.code or 0

    return run_program


def test_evaluate_prints_and_writes_the_metrics(run, config_path, model_dir, capsys):
    assert run("evaluate.py", "--config", config_path, "--model-dir", model_dir) == 0
    metrics = json.loads((model_dir / "metrics.json").read_text())
    assert {kind: list(values) for kind, values in metrics.items()} == dict.fromkeys(
        ("segm", "bbox"), ["AP", "AP50", "AP75", "APs", "APm", "APl"]
    )
    output = capsys.readouterr().out
    assert "masks" in output and "APl" in output and "step 5" in output


@pytest.mark.parametrize("config_path", ["sbd_path"], indirect=True)
def test_evaluate_on_sbd_has_vocs_metric_too(run, config_path, model_dir, capsys):
    assert run("evaluate.py", "--config", config_path, "--model-dir", model_dir) == 0
    metrics = json.loads((model_dir / "metrics.json").read_text())
    assert list(metrics) == ["segm", "bbox", "voc"]
    assert list(metrics["voc"]) == ["mAP50", "mAP70", "class_ap50", "class_ap70"]
    # The bicycle that the stand-in finds isn't there; a person and a horse are, and are missed.
    assert metrics["voc"]["mAP50"] == metrics["voc"]["class_ap70"]["horse"] == 0
    assert metrics["voc"]["class_ap50"]["bicycle"] == -1
    assert "VOC mAP^r" in capsys.readouterr().out


@pytest.mark.parametrize(
    "override, message",
    [("model.backbone=resnet18", "model.backbone is"), ("data.eval.scenes=0", "data.eval: evaluation needs a finite")],
)
def test_evaluate_names_the_key_that_is_wrong(run, config_path, tmp_path, capsys, override, message):
    (tmp_path / "config.yaml").write_text(config_path.read_text())
    assert run("evaluate.py", "--config", config_path, "--model-dir", tmp_path, "--override", override) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "metrics.json").exists()


@pytest.mark.parametrize("program", ["evaluate.py", "predict.py"])
def test_a_missing_model_directory_is_one_line(program, run, config_path, tmp_path, capsys):
    arguments = ["--config", config_path] if program == "evaluate.py" else [tmp_path / "a.png"]
    missing = tmp_path / "missing"
    assert run(program, *arguments, "--model-dir", missing) == 2
    error = capsys.readouterr().err
    assert str(missing) in error and error.count("\n") == 1


def test_a_missing_configuration_is_one_line(run, model_dir, tmp_path, capsys):
    missing = tmp_path / "missing.yaml"
    assert run("evaluate.py", "--config", missing, "--model-dir", model_dir) == 2
    error = capsys.readouterr().err
    assert str(missing) in error and error.count("\n") == 1


def test_predict_writes_drawings_and_results(run, model_dir, tmp_path, capsys):
    image = tmp_path / "7.png"
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(image)
    out = tmp_path / "out"
    assert run("predict.py", "--model-dir", model_dir, image, "--out", out) == 0
    (result,) = json.loads((out / "instances.json").read_text())
    assert result["image_id"] == 7 and result["category_id"] == 2 and result["bbox"] == [0, 0, 30, 20]
    drawn = np.asarray(Image.open(out / "7.png"))
    assert drawn.shape == (40, 60, 3) and (drawn[30:, 40:] == 90).all() and (drawn[:20, :30] != 90).any()
    assert f"1 instances in 1 images; drawings and instances.json in {out}" in capsys.readouterr().out


def test_predict_goes_on_after_a_bad_image(run, model_dir, tmp_path, capsys):
    bad, good = tmp_path / "bad.jpg", tmp_path / "good.png"
    bad.write_text("no image")
    Image.new("L", (60, 40)).save(good)
    out = tmp_path / "out"
    assert run("predict.py", "--model-dir", model_dir, bad, good, "--out", out) == 1
    assert str(bad) in capsys.readouterr().err
    assert len(json.loads((out / "instances.json").read_text())) == 1


def test_predict_without_a_readable_image_promises_nothing(run, model_dir, tmp_path, capsys):
    missing = tmp_path / "missing.jpg"
    assert run("predict.py", "--model-dir", model_dir, missing, "--out", tmp_path / "out") == 1
    output = capsys.readouterr()
    assert not output.out and f"skipped: {missing}: No such file or directory" in output.err


def test_predict_leaves_out_low_scores(run, model_dir, tmp_path):
    image, out = tmp_path / "a.png", tmp_path / "out"
    Image.new("RGB", (60, 40)).save(image)
    assert run("predict.py", "--model-dir", model_dir, image, "--out", out, "--min-score", "0.999") == 0
    assert json.loads((out / "instances.json").read_text()) == []


@pytest.mark.parametrize("program", ["evaluate.py", "predict.py"])
def test_help_names_the_arguments(program, run, capsys):
    assert run(program, "--help") == 0
    assert "--model-dir" in capsys.readouterr().out
