"""train.py from the command line."""

import runpy
import sys
from pathlib import Path

import pytest
import yaml

from fcis_tf.evaluation import CocoMetrics
from tests.tiny_config import tiny_config, tiny_values

ROOT = Path(__file__).parents[1]
NUMBERS = dict.fromkeys(("AP", "AP50", "AP75", "APs", "APm", "APl"), 0.25)


@pytest.fixture
def config_path(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_values()))
    return path


@pytest.fixture
def calls(monkeypatch):
    """What the program asks for; nothing is trained."""
    calls = []

    def train(config, model_dir, resume, data_service, profile):
        calls.append((config, model_dir, resume, data_service, profile))
        return CocoMetrics({"segm": NUMBERS, "bbox": NUMBERS}, {"cat": {"segm": 0.5, "bbox": -1}})

    monkeypatch.setattr("fcis_tf.training.train", train)
    return calls


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["train.py", *map(str, arguments)])
    # The program's own handlers are not for the tests after this one.
    monkeypatch.setattr("fcis_tf.preemption.exit_on_signals", lambda: None)
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
    return exit_.value.code or 0


def test_trains_and_prints_the_metrics(monkeypatch, config_path, calls, capsys):
    override = "--override", "training.steps=9"
    assert run(monkeypatch, "--config", config_path, "--model-dir", config_path.parent / "m", *override) == 0
    assert calls == [(tiny_config(training={"steps": 9}), config_path.parent / "m", True, None, None)]
    output = capsys.readouterr().out
    assert "masks   0.250" in output and "cat" in output and str(config_path.parent / "m") in output


def test_prints_no_metrics_of_a_run_that_is_never_evaluated(monkeypatch, config_path, capsys):
    monkeypatch.setattr("fcis_tf.training.train", lambda *arguments, **options: None)
    assert run(monkeypatch, "--config", config_path, "--override", "training.evaluate_every=null") == 0
    assert capsys.readouterr().out == "\ncheckpoints, curves and metrics are in runs/tiny\n"


def test_the_directory_has_the_name_of_the_configuration_if_none_is_given(monkeypatch, config_path, calls):
    assert run(monkeypatch, "--config", config_path, "--no-resume", "--tf-data-service", "grpc://x:1") == 0
    assert calls == [(tiny_config(), Path("runs/tiny"), False, "grpc://x:1", None)]


def test_strategy_and_profile(monkeypatch, config_path, calls):
    assert run(monkeypatch, "--config", config_path, "--strategy", "mirrored", "--profile", "3:15") == 0
    assert calls == [(tiny_config(training={"strategy": "mirrored"}), Path("runs/tiny"), True, None, (3, 15))]


@pytest.mark.parametrize("steps", ["3", "5:5", "7:5", "-1:3", "a:b", "1:2:3"])
def test_a_profile_of_no_steps(monkeypatch, config_path, calls, capsys, steps):
    assert run(monkeypatch, "--config", config_path, f"--profile={steps}") == 2 and not calls
    assert f"--profile: expected FIRST:END, such as 100:110, found {steps}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--config", "missing.yaml"], "missing.yaml: cannot read this configuration"),
        (["--config", "CONFIG", "--override", "model.bakbone=resnet18"], "model.bakbone: unknown key"),
        (["--config", "CONFIG", "--override", "data.eval.scenes=0"], "data.eval: evaluation needs a finite data set"),
        (["--config", "CONFIG", "--override", "model.backbone"], "--override model.backbone: expected KEY.KEY=VALUE"),
    ],
)
def test_mistakes_are_one_line(monkeypatch, config_path, calls, capsys, arguments, message):
    arguments = [config_path if argument == "CONFIG" else argument for argument in arguments]
    assert run(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("train.py: ") and message in error and error.count("\n") == 1
    assert not calls


def test_missing_data_is_one_line_that_names_the_key(monkeypatch, config_path, tmp_path, capsys):
    values = tiny_values()
    values["data"]["train"] = {"format": "coco", "images": "nowhere", "annotations": "nowhere.json"}
    config_path.write_text(yaml.safe_dump(values))
    assert run(monkeypatch, "--config", config_path, "--model-dir", tmp_path / "model") == 2
    error = capsys.readouterr().err
    assert "data.train" in error and error.count("\n") == 1
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("state", ['model_checkpoint_path: "checkpoint-3"\n', None])
def test_a_directory_with_checkpoints_is_not_overwritten(monkeypatch, config_path, tmp_path, capsys, state):
    model_dir = tmp_path / "model"
    model_dir.mkdir()
    (model_dir / "checkpoint-3.index").touch()
    if state:
        (model_dir / "checkpoint").write_text(state)
    before = sorted(model_dir.iterdir())
    assert run(monkeypatch, "--config", config_path, "--model-dir", model_dir, "--no-resume") == 2
    output = capsys.readouterr()
    assert f"--model-dir {model_dir}: holds checkpoints" in output.err and output.err.count("\n") == 1
    assert not output.out and sorted(model_dir.iterdir()) == before


def test_help_names_the_arguments(monkeypatch, capsys):
    assert run(monkeypatch, "--help") == 0
    output = capsys.readouterr().out
    assert "--no-resume" in output and "--model-dir" in output
