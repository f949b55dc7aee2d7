"""evaluate.py and predict.py from the command line, with a stand-in for the trained network."""

import json
import os
import signal
import time
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from PIL import Image

from fcis_tf.checkpoints import CheckpointWriter
from fcis_tf.config import load_config, save_config
from fcis_tf.data import load_dataset
from fcis_tf.evaluation import CocoMetrics
from fcis_tf.model_directory import describe_run
from tests.data.voc_folders import write_sbd
from tests.inference.quarter_model import QuarterModel
from tests.inference.random_networks import random_network
from tests.tiny_config import tiny_config

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
    source = load_dataset(config.data, "eval")
    trained = SimpleNamespace(
        model=QuarterModel(),
        config=config,
        class_names=source.class_names,
        category_ids=source.category_ids,
        step=5,
    )
    monkeypatch.setattr("fcis_tf.model_directory.load_trained", lambda path, config: trained)
    return path


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


# Watching


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--watch", "--model-dir", "other"], "--watch: follows one training run, name one --model-dir"),
        (["--watch", "--out", "m.json"], "--out m.json: --watch writes metrics.json in the model directory"),
        (["--watch-timeout", "5"], "--watch-timeout: needs --watch"),
        (["--watch", "--watch-timeout", "0"], "argument --watch-timeout: expected a whole number in 1..1000000000"),
    ],
)
def test_what_makes_no_sense_with_watch_is_refused(run, config_path, tmp_path, capsys, arguments, message):
    assert run("evaluate.py", "--config", config_path, "--model-dir", tmp_path / "model", *arguments) == 2
    assert f"evaluate.py: {message}" in capsys.readouterr().err.replace("error: ", "")


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_watch_waits_until_it_is_stopped(run, config_path, tmp_path, monkeypatch, number, status):
    """As the evaluator of a TFJob, whose TF_CONFIG names a cluster that it is no part of."""
    task = {"cluster": {"chief": ["localhost:1"]}, "task": {"type": "evaluator", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(task))
    monkeypatch.setattr(time, "sleep", lambda seconds: os.kill(os.getpid(), number))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    # What runs in the background of a script ignores Ctrl-C otherwise.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        missing = tmp_path / "missing"
        assert run("evaluate.py", "--config", config_path, "--model-dir", missing, "--watch") == status
        assert not missing.exists()
    finally:
        for signal_number, handler in handlers.items():
            signal.signal(signal_number, handler)


def test_watch_prints_a_line_for_every_checkpoint_and_a_table_at_the_end(
    run, config_path, tmp_path, capsys, monkeypatch
):
    def watch(model_dir, config, source, timeout):
        assert (model_dir, config, source.size, timeout) == (tmp_path, load_config(config_path), 2, 60)
        for step, ap in ((5, 0.25), (10, 0.5)):
            numbers = dict.fromkeys(("AP", "AP50", "AP75", "APs", "APm", "APl"), ap)
            yield step, CocoMetrics({"segm": numbers, "bbox": numbers}, {})

    monkeypatch.setattr("fcis_tf.training.watch.watch", watch)
    arguments = ["--model-dir", tmp_path, "--watch", "--watch-timeout", 60]
    assert run("evaluate.py", "--config", config_path, *arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "step 5: masks AP 0.250, AP50 0.250; boxes AP 0.250, AP50 0.250"
    assert lines[3] == f"{tmp_path}, step 10, on data.eval of {config_path}"
    assert lines[6].split()[:2] == ["masks", "0.500"]


# Tricks


@pytest.fixture(scope="module")
def network_dirs(tmp_path_factory):
    """Two model directories of different random networks for digits."""
    paths = []
    for seed, scales in enumerate(([1.0, 2.0], [2.0])):
        path = tmp_path_factory.mktemp("runs") / "model"
        config = tiny_config(model={"anchor_scales": scales}, inference={"score_threshold": 0.05})
        source = load_dataset(config.data, "eval")
        model = random_network(config, len(source.class_names), seed)
        describe_run(path, config, source.class_names, source.category_ids)
        with CheckpointWriter(model, keras.optimizers.SGD(), tf.Variable(seed, dtype=tf.int64), path, 1) as writer:
            writer.save()
        paths.append(path)
    return paths


TRICKS = ["--override", "inference.test_scales=[48]", "--override", "inference.horizontal_flip=true"]


def test_evaluate_with_tricks_says_so_and_leaves_the_plain_metrics(run, network_dirs, tmp_path, capsys):
    first, second = network_dirs
    (first / "metrics.json").write_text("plain")
    arguments = ["--config", first / "config.yaml", "--model-dir", first]
    assert run("evaluate.py", *arguments, "--model-dir", second, *TRICKS) == 0
    assert capsys.readouterr().out.startswith(
        f"{first}, step 0, and {second}, step 1, on data.eval of {first / 'config.yaml'}, with 2 networks, "
        "inference.test_scales=[48], inference.horizontal_flip=true\n\n"
    )
    metrics = (first / "metrics_tricks.json").read_text()
    assert list(json.loads(metrics)) == ["segm", "bbox"]
    assert (first / "metrics.json").read_text() == "plain"

    out = tmp_path / "rois.json"
    assert run("evaluate.py", *arguments, "--override", "inference.boxes=rois", "--out", out) == 0
    assert "inference.boxes=rois" in capsys.readouterr().out and list(json.loads(out.read_text())) == ["segm", "bbox"]
    assert (first / "metrics_tricks.json").read_text() == metrics and (first / "metrics.json").read_text() == "plain"

    assert run("evaluate.py", *arguments, "--out", tmp_path / "missing" / "metrics.json") == 2
    error = capsys.readouterr().err
    assert f"there is no directory {tmp_path / 'missing'}" in error and "images/s" not in error


def test_predict_takes_an_ensemble_and_tricks(run, network_dirs, tmp_path, capsys):
    image, out = tmp_path / "7.png", tmp_path / "out"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)).save(image)
    first, second = network_dirs
    arguments = ["--model-dir", first, "--model-dir", second, *TRICKS, image, "--out", out, "--min-score", "0.1"]
    assert run("predict.py", *arguments) == 0
    assert json.loads((out / "instances.json").read_text()) and (out / "7.png").exists()


@pytest.mark.parametrize("program", ["evaluate.py", "predict.py"])
def test_an_ensemble_that_does_not_fit_is_one_line(program, run, network_dirs, tmp_path, capsys):
    first, other = network_dirs[0], tmp_path / "other"
    other.mkdir()
    save_config(load_config(first / "config.yaml"), other / "config.yaml")
    (other / "classes.json").write_text(json.dumps({"names": ["cat"], "category_ids": [1]}))
    arguments = ["--config", first / "config.yaml"] if program == "evaluate.py" else [tmp_path / "a.png"]
    assert run(program, *arguments, "--model-dir", first, "--model-dir", other) == 2
    assert capsys.readouterr().err == (
        f"{program}: --model-dir {other}: has 1 classes, but the network in {first} has 10\n"
    )


@pytest.mark.parametrize("program", ["evaluate.py", "predict.py"])
def test_a_scale_that_is_none_is_one_line(program, run, network_dirs, tmp_path, capsys):
    first = network_dirs[0]
    arguments = ["--config", first / "config.yaml"] if program == "evaluate.py" else [tmp_path / "a.png"]
    assert run(program, *arguments, "--model-dir", first, "--override", "inference.test_scales=[-600]") == 2
    error = capsys.readouterr().err
    assert "inference.test_scales.0: Input should be greater than 0, found -600" in error and error.count("\n") == 1
