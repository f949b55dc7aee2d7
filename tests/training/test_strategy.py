"""Training on several devices and machines: the same as on one."""

import json
import os
import subprocess
import sys

import pytest
import tensorflow as tf

from fcis_tf.errors import UserError
from fcis_tf.training.strategy import is_chief, make_strategy

CLUSTER = {"worker": ["a:1", "b:1"]}


def test_eight_replicas_do_the_step_of_one_device():
    program = [sys.executable, "-m", "tests.training.replicas_program"]
    output = subprocess.run(program, capture_output=True, text=True, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"})
    assert output.returncode == 0, output.stderr
    results = json.loads(output.stdout.splitlines()[-1])
    assert results.pop("replicas") == 8
    for case, differences in results.items():
        assert differences["update"] < 1e-5 and differences["losses"] < 1e-5, case
        # Rounding weighs more in variables that hardly change.
        assert differences["variable"] < 1e-4, case
    assert len(results) == 8


@pytest.mark.parametrize(
    "text, message",
    [
        (None, "it is not set"),
        ("{", "Invalid JSON"),
        ("[]", "Input should be an object"),
        ('{"cluster": {"worker": ["a:1"]}}', "task: Field required"),
        ('{"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}', "cluster.worker: Input should be"),
        ('{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}', "cluster.worker.0: String should"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0.5}}', "task.index: "),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": true}}', "task.index: "),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": -1}}', "task.index: "),
        (json.dumps({"cluster": CLUSTER, "task": {"type": "worker", "index": 2}}), "number 2, from 0, of type worker"),
        (json.dumps({"cluster": CLUSTER, "task": {"type": "evaluator", "index": 0}}), "found evaluator"),
    ],
)
def test_a_tf_config_that_is_wrong(monkeypatch, text, message):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match=f"^TF_CONFIG: .*{message}") as error:
        make_strategy("multi_worker")
    assert "\n" not in str(error.value)


def test_auto_takes_one_device_where_there_is_no_more(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert make_strategy("auto") is tf.distribute.get_strategy()
    alone = {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(alone))
    assert make_strategy("auto") is tf.distribute.get_strategy()
    assert is_chief(make_strategy("auto"))
