"""train.py is killed and asked to stop, as a process: it goes on as if nothing had happened."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml

from fcis_tf.preemption import EXIT_STATUS
from tests.tiny_config import tiny_values

ROOT = Path(__file__).parents[2]
TRAINING = {"steps": 160, "log_every": 5, "checkpoint_every": 5, "evaluate_every": 40, "deterministic": True}
SECONDS = 300


class Program:
    """train.py on tiny scenes, in a process of its own."""

    def __init__(self, directory, training, name="model"):
        self.model_dir = directory / name
        self.log = directory / f"{name}.log"
        config = directory / "config.yaml"
        config.write_text(yaml.safe_dump(tiny_values(model={"batch_norm": "trained"}, training=training)))
        arguments = [sys.executable, "train.py", "--config", config, "--model-dir", self.model_dir]
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=log, stderr=log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def wait(self):
        return self.process.wait(SECONDS)

    def wait_until(self, condition):
        """Waits for something to be seen; returns whether it was before the process ended."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if condition():
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.002)
        raise TimeoutError

    def steps(self):
        return sorted(int(path.stem.split("-")[1]) for path in self.model_dir.glob("checkpoint-*.index"))


def digest(checkpoint):
    """Returns a digest of every value of a checkpoint, those of the optimiser too."""
    reader = tf.train.load_checkpoint(str(checkpoint))
    digest = hashlib.sha256()
    for name in sorted(reader.get_variable_to_shape_map()):
        digest.update(name.encode() + np.asarray(reader.get_tensor(name)).tobytes())
    return digest.hexdigest()


def is_writing(model_dir):
    return any(model_dir.glob("checkpoint-*.partial")) or any(model_dir.glob("best/checkpoint-*.partial"))


def outcome(model_dir):
    metrics = [json.loads((model_dir / path).read_text()) for path in ("metrics.json", "best/metrics.json")]
    return digest(model_dir / f"checkpoint-{TRAINING['steps']}"), metrics


@pytest.mark.slow
def test_a_run_that_is_killed_twenty_times_ends_with_the_very_same_weights(tmp_path):
    with Program(tmp_path, TRAINING, "uninterrupted") as whole:
        assert whole.wait() == 0
    generator = random.Random(0)
    kills = during_writes = 0
    while kills < 20:
        with Program(tmp_path, TRAINING) as program:
            before = set(program.steps())
            # Some while a checkpoint is written, some after one, the others at any time, such as during start-up.
            kind = generator.choice(["write", "after", "any"]) if before else "after"
            if kind == "any":
                time.sleep(generator.uniform(0, 15))
            else:
                program.wait_until(lambda program=program, before=before: set(program.steps()) - before)
                if kind == "after":
                    time.sleep(generator.uniform(0, 2))
                else:
                    program.wait_until(lambda program=program: is_writing(program.model_dir))
            assert program.process.poll() is None, program.log.read_text()
            program.process.send_signal(signal.SIGKILL)
            program.wait()
            kills += 1
            during_writes += kind == "write" and is_writing(program.model_dir)
            print(f"kill {kills}: {kind}, checkpoints {program.steps()}, {during_writes} during writes", flush=True)
    assert during_writes
    with Program(tmp_path, TRAINING) as program:
        assert program.wait() == 0
    assert outcome(program.model_dir) == outcome(whole.model_dir)
    assert not list(program.model_dir.rglob("*.partial"))


@pytest.mark.slow
@pytest.mark.parametrize("number, status", [(signal.SIGTERM, EXIT_STATUS), (signal.SIGINT, 130)])
def test_a_signal_saves_the_step_and_has_a_status_of_its_own(tmp_path, number, status):
    training = TRAINING | {"steps": 1000, "checkpoint_every": 1000, "evaluate_every": 0}
    with Program(tmp_path, training) as program:
        curves = program.model_dir / "train.log"
        assert program.wait_until(lambda: curves.exists() and "train | step:      5" in curves.read_text())
        program.process.send_signal(number)
        assert program.wait() == status
    (step,) = program.steps()
    assert step >= 5
    text = program.log.read_text()
    assert f"saved step {step}; the same command goes on from there" in text and "Traceback" not in text
