"""When training saves, evaluates and stops; its steps and its evaluations are stand-ins."""

import json
import logging
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import keras
import orbit
import pytest
import tensorflow as tf

from fcis_tf.errors import UserError
from fcis_tf.evaluation import CocoMetrics
from fcis_tf.preemption import Preempted
from fcis_tf.training import rounds, session, train
from tests.test_checkpoints import fill
from tests.tiny_config import tiny_config

RATE = {"values": [0.1], "boundaries": [], "multipliers": {}}
TRAINING = {"steps": 12, "log_every": 4, "checkpoint_every": 3, "evaluate_every": 6, "keep_checkpoints": 9}
TRAINING |= {"learning_rate": RATE}


class Events(list):
    """What happened in a run, in its order; `hooks` are called when something happens."""

    def __init__(self):
        self.hooks = {}

    def add(self, event):
        self.append(event)
        self.hooks.get(event, lambda: None)()


@pytest.fixture
def events(monkeypatch):
    events = Events()
    model = SimpleNamespace(trainable_variables=[keras.Variable(tf.zeros([5000]), name="weight")])
    model.variables = model.trainable_variables

    class Trainer(orbit.AbstractTrainer):
        def __init__(self, model, optimizer, batches, config, step, bar, skipped_images, stop, profile):
            self.global_step, self.stop, self.stopped = step, stop, False
            self.weight = model.trainable_variables[0]

        def train(self, num_steps):
            for _ in range(int(num_steps)):
                self.global_step.assign_add(1)
                self.weight.assign(tf.fill(self.weight.shape, float(self.global_step.numpy())))
                events.add(f"step {self.global_step.numpy()}")
                self.stopped = self.stop()
                if self.stopped:
                    break
            return {"loss": tf.constant(0.5)}

    class Evaluator(orbit.AbstractEvaluator):
        def __init__(self, predictor, source, config):
            self.metrics = None

        def evaluate(self, num_steps):
            step = int(model_step())
            events.add(f"evaluation {step}")
            # The best is that of step 6.
            self.metrics = CocoMetrics({"segm": {"AP": 1 - abs(6 - step) / 10}}, {})
            return {"segm/AP": self.metrics.summary["segm"]["AP"]}

    def model_step():
        return model.trainable_variables[0].numpy().flat[0]

    monkeypatch.setattr(session, "build_model", lambda *_: model)
    monkeypatch.setattr(session, "training_batches", lambda *_, **__: tf.data.Dataset.range(1))
    monkeypatch.setattr(session, "Trainer", Trainer)
    monkeypatch.setattr(session, "Evaluator", Evaluator)
    for name in ("Predictor", "Detector"):
        monkeypatch.setattr(session, name, lambda *_: None)
    monkeypatch.setattr(session, "PictureWriter", lambda *_: lambda output: None)
    return events


def run(model_dir, **training):
    return train(tiny_config(training=TRAINING | training), model_dir, progress=False)


def send(number):
    return lambda: os.kill(os.getpid(), number)


def saved(model_dir):
    return sorted(int(path.stem.split("-")[1]) for path in Path(model_dir).glob("checkpoint-*.index"))


def steps(first, last):
    return [f"step {step}" for step in range(first, last + 1)]


def test_saves_and_evaluates_on_time(events, tmp_path):
    run(tmp_path, evaluate_every=5)
    expected = steps(1, 5) + ["evaluation 5"] + steps(6, 10) + ["evaluation 10"] + steps(11, 12) + ["evaluation 12"]
    assert events == expected
    assert saved(tmp_path) == [3, 5, 6, 9, 10, 12] and saved(tmp_path / "best") == [5]
    log = (tmp_path / "train.log").read_text()
    assert [f"train | step: {step:6d} | steps/sec" in log for step in (4, 8, 12)] == [True] * 3


def test_the_best_is_kept_and_a_resumed_run_compares_with_it(events, tmp_path):
    run(tmp_path)
    assert saved(tmp_path / "best") == [6]
    assert json.loads((tmp_path / "best" / "metrics.json").read_text()) == {"step": 6, "segm": {"AP": 1.0}}
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"step": 12, "segm": {"AP": 0.4}}
    run(tmp_path, steps=18)
    assert saved(tmp_path / "best") == [6]


@pytest.mark.parametrize("number, error", [(signal.SIGTERM, Preempted), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_in_training_saves_the_step_and_the_run_goes_on_there(events, tmp_path, caplog, number, error):
    events.hooks["step 2"] = send(number)
    with caplog.at_level(logging.INFO), pytest.raises(error):
        run(tmp_path)
    assert events == steps(1, 2) and saved(tmp_path) == [2]
    assert "saved step 2; the same command goes on from there" in caplog.messages
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING and record.name == "absl"]
    events.clear()
    run(tmp_path)
    assert events == steps(3, 6) + ["evaluation 6"] + steps(7, 12) + ["evaluation 12"]
    assert saved(tmp_path) == [2, 3, 6, 9, 12]


def test_a_signal_at_the_last_step_before_an_evaluation(events, tmp_path):
    events.hooks["step 6"] = send(signal.SIGTERM)
    with pytest.raises(Preempted):
        run(tmp_path)
    assert events == steps(1, 6) and saved(tmp_path) == [3, 6]


def test_an_evaluation_that_was_cut_off_is_made_up_for(events, tmp_path):
    events.hooks["evaluation 6"] = send(signal.SIGTERM)
    with pytest.raises(Preempted):
        run(tmp_path)
    assert events == steps(1, 6) + ["evaluation 6"] and saved(tmp_path) == [3, 6]
    events.clear(), events.hooks.clear()
    run(tmp_path)
    assert events == ["evaluation 6"] + steps(7, 12) + ["evaluation 12"]


def test_an_evaluation_that_was_completed_is_not_repeated(events, tmp_path):
    events.hooks["step 7"] = send(signal.SIGTERM)
    with pytest.raises(Preempted):
        run(tmp_path)
    shutil.rmtree(tmp_path / "best")
    for path in tmp_path.glob("checkpoint-7.*"):
        path.unlink()
    events.clear(), events.hooks.clear()
    run(tmp_path)
    assert events == steps(7, 12) + ["evaluation 12"]


def test_a_signal_at_start_up_stops_at_once(events, tmp_path, monkeypatch):
    load_dataset = session.load_dataset
    monkeypatch.setattr(session, "load_dataset", lambda *arguments: send(signal.SIGTERM)() or load_dataset(*arguments))
    with pytest.raises(Preempted):
        run(tmp_path / "model")
    assert not events and not (tmp_path / "model").exists()


def test_a_damaged_checkpoint_costs_the_steps_behind_the_one_before(events, tmp_path, caplog):
    run(tmp_path, steps=6)
    (path,) = tmp_path.glob("checkpoint-6.data*")
    path.write_bytes(path.read_bytes()[:1000])
    events.clear()
    run(tmp_path, steps=6)
    assert events == steps(4, 6) + ["evaluation 6"] and "checkpoint-6: damaged" in caplog.text


def test_only_the_chief_writes(events, tmp_path, monkeypatch):
    run(tmp_path, steps=6)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    (tmp_path / "checkpoint-9.partial").mkdir()
    events.clear()
    for module in (session, rounds):
        monkeypatch.setattr(module, "is_chief", lambda strategy: False)
    metrics = run(tmp_path)
    assert events == steps(7, 12) + ["evaluation 12"] and metrics.summary == {"segm": {"AP": 0.4}}
    (tmp_path / "checkpoint-9.partial").rmdir()
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert {path for path in after if after[path] != before.get(path)} <= {tmp_path}


def test_batches_of_a_service_are_not_deterministic(events, tmp_path, monkeypatch):
    monkeypatch.setattr(session.tf.config.experimental, "enable_op_determinism", lambda: None)
    config = tiny_config(training=TRAINING | {"deterministic": True})
    with pytest.raises(UserError, match="^training.deterministic: the batches of a tf.data service"):
        train(config, tmp_path, progress=False, data_service="grpc://localhost:1")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def disk(tmp_path):
    """A file system of 1 MB."""
    path = tmp_path / "disk"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


@pytest.mark.parametrize("step", [1, 4, 7])
def test_a_disk_that_is_full_from_some_step_on_is_one_line(events, disk, step):
    """Then checkpoints, curves, log and metrics have no place."""
    model_dir = disk / "model"
    before = [n for n in (3, 6) if n < step]

    def fill_disk():
        while saved(model_dir) != before or list(model_dir.glob("*.partial")):
            time.sleep(0.01)
        fill(disk / "ballast", 0)

    events.hooks[f"step {step}"] = fill_disk
    with pytest.raises(UserError, match="No space left on device") as error:
        run(model_dir)
    assert str(disk) in str(error.value) and "\n" not in str(error.value)
    assert saved(model_dir) == before
    assert not list(disk.rglob("*.partial"))
    (disk / "ballast").unlink()
    events.clear(), events.hooks.clear()
    run(model_dir)
    assert events[-1] == "evaluation 12" and saved(model_dir) == [3, 6, 9, 12]
