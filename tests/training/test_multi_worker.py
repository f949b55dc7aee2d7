"""Two workers on this machine: the training of one, also when one of them is lost."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
import yaml

from fcis_tf.checkpoints import find_checkpoint
from fcis_tf.training import train
from tests.tiny_config import tiny_config

TRAINING = {"steps": 2, "log_every": 1, "checkpoint_every": 1, "evaluate_every": None, "deterministic": True}
SECONDS = 200


def write_config(path, **training):
    config = tiny_config(model={"batch_norm": "trained"}, training=TRAINING | training)
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    return config


def start_workers(config_path, model_dir):
    addresses = free_addresses()
    return [start_worker(config_path, model_dir, addresses, index) for index in range(2)]


def free_addresses():
    sockets = [socket.create_server(("localhost", 0)) for _ in range(2)]
    addresses = [f"localhost:{server.getsockname()[1]}" for server in sockets]
    for server in sockets:
        server.close()
    return addresses


def start_worker(config_path, model_dir, addresses, index, *arguments):
    cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    environment = os.environ | {"TF_CONFIG": json.dumps(cluster), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "train.py", "--config", str(config_path), "--model-dir", str(model_dir), *arguments]
    with open(config_path.parent / f"worker{index}.log", "a") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment)


def logs(tmp_path):
    return "\n".join(path.read_text()[-3000:] for path in sorted(tmp_path.glob("*.log")))


def assert_same_checkpoints(model_dir, expected_dir, tolerance):
    found, expected = (tf.train.load_checkpoint(find_checkpoint(path)) for path in (model_dir, expected_dir))
    names = expected.get_variable_to_shape_map()
    assert sorted(found.get_variable_to_shape_map()) == sorted(names)
    for name in names:
        value, wanted = found.get_tensor(name), expected.get_tensor(name)
        if isinstance(wanted, np.ndarray) and wanted.dtype == np.float32:
            assert np.abs(value - wanted).max() <= tolerance * np.abs(wanted).max(), name


def test_two_workers_do_the_steps_of_one(tmp_path):
    config = write_config(tmp_path / "config.yaml")
    workers = start_workers(tmp_path / "config.yaml", tmp_path / "two")
    train(config, tmp_path / "one", progress=False)
    assert [worker.wait(SECONDS) for worker in workers] == [0, 0], logs(tmp_path)
    assert_same_checkpoints(tmp_path / "two", tmp_path / "one", 1e-5)


def test_workers_that_were_started_differently_say_so(tmp_path):
    config_path, addresses = tmp_path / "config.yaml", free_addresses()
    write_config(config_path)
    other = ["--override", "training.images_per_step=4"]
    workers = [start_worker(config_path, tmp_path / "two", addresses, i, *(other if i else [])) for i in range(2)]
    assert [worker.wait(SECONDS) for worker in workers] == [2, 2], logs(tmp_path)
    message = "--config and --override: expected the same for all workers of TF_CONFIG, found different ones"
    assert logs(tmp_path).count(message) == 2 and not (tmp_path / "two").exists()


def test_ctrl_c_stops_a_worker_that_waits_for_another(tmp_path):
    write_config(tmp_path / "config.yaml")
    worker = start_worker(tmp_path / "config.yaml", tmp_path / "two", addresses := free_addresses(), 0)
    wait_for(lambda: f"waiting for {addresses[1]} of TF_CONFIG" in logs(tmp_path), [worker])
    # TensorFlow's own waiting begins a moment later.
    time.sleep(2)
    worker.send_signal(signal.SIGINT)
    assert worker.wait(SECONDS) == -signal.SIGINT, logs(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_job_goes_on_from_the_last_checkpoint_when_a_worker_is_lost(tmp_path, victim):
    config = write_config(tmp_path / "config.yaml", steps=12)
    model_dir = tmp_path / "two"
    workers = start_workers(tmp_path / "config.yaml", model_dir)
    wait_for(lambda: (model_dir / "checkpoint-4.index").exists(), workers)
    workers[victim].send_signal(signal.SIGKILL)
    assert workers[1 - victim].wait(SECONDS) == 138, logs(tmp_path)
    assert "another worker is gone; started again, all workers go on from the last checkpoint" in logs(tmp_path)
    workers = start_workers(tmp_path / "config.yaml", model_dir)
    assert [worker.wait(SECONDS) for worker in workers] == [0, 0], logs(tmp_path)
    assert "from step 0 to 12" in logs(tmp_path) and "from step 4 to 12" in logs(tmp_path)
    train(config, tmp_path / "one", progress=False)
    assert_same_checkpoints(model_dir, tmp_path / "one", 1e-3)


def test_sigterm_to_one_of_two_workers_stops_both_after_the_same_step(tmp_path):
    write_config(tmp_path / "config.yaml", steps=10_000, checkpoint_every=5000)
    workers = start_workers(tmp_path / "config.yaml", tmp_path / "two")
    wait_for(lambda: "loss" in logs(tmp_path), workers)
    workers[1].terminate()
    assert [worker.wait(SECONDS) for worker in workers] == [138, 138], logs(tmp_path)
    assert logs(tmp_path).count("saved step") == 2
    assert find_checkpoint(tmp_path / "two")


def wait_for(condition, workers):
    end = time.monotonic() + SECONDS
    while not condition():
        assert all(worker.poll() is None for worker in workers) and time.monotonic() < end
        time.sleep(0.05)
