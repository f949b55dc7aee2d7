"""Batches from a tf.data service: the same as without one, and what is said when it cannot be reached."""

import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from fcis_tf.config import DataConfig, DigitsDataset
from fcis_tf.data import training_batches
from fcis_tf.data.service import batches_of_service, start_dispatcher, start_worker
from fcis_tf.errors import UserError
from tests.data.sources import open_source

DIGITS = DigitsDataset(format="digits", split="train", scenes=9, height=32, width=48, max_digits=2)
CONFIG = DataConfig(train=DIGITS, eval=DIGITS, short_side=32, long_side=48)


@pytest.fixture(scope="module")
def batches():
    """Batches from step 3 on."""
    return training_batches(open_source(DIGITS, 14), CONFIG, 2, seed=0, first_step=3)


def test_two_workers_make_each_steps_batch_once(batches):
    dispatcher = start_dispatcher(0)
    address = dispatcher.target
    workers = [start_worker(address.removeprefix("grpc://"), "localhost", 0) for _ in range(2)]
    made = list(batches_of_service(batches, address).take(10).as_numpy_iterator())
    # In which order they come is open, so that they may be a few steps apart.
    expected = {batch["images"].tobytes(): batch for batch in batches.take(30).as_numpy_iterator()}
    matched = [expected.pop(batch["images"].tobytes()) for batch in made]
    for batch, other in zip(made, matched, strict=True):
        for name in batch:
            np.testing.assert_array_equal(batch[name], other[name])
    for worker in workers:
        worker._stop()


@pytest.mark.parametrize(
    "address, message",
    [
        ("localhost:5000", "expected grpc://HOST:PORT"),
        ("grpc://localhost", "expected HOST:PORT"),
        ("grpc://localhost:99999", "no dispatcher can be reached there"),
        ("grpc://localhost:{free}", "no dispatcher can be reached there: .*refused"),
    ],
)
def test_an_address_where_nothing_answers(batches, address, message):
    # Nobody else gets the port meanwhile.
    with socket.socket() as silent:
        silent.bind(("localhost", 0))
        with pytest.raises(UserError, match=message) as error:
            batches_of_service(batches, address.format(free=silent.getsockname()[1]))
    assert str(error.value).startswith("--tf-data-service ") and "\n" not in str(error.value)


def test_a_port_that_is_taken():
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UserError, match=f"^--port {port}: Address already in use$"):
            start_dispatcher(port)


def test_the_program_ends_with_ctrl_c():
    command = [sys.executable, "-m", "fcis_tf.data.service", "dispatcher", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout.readline().startswith("dispatcher: train.py --tf-data-service grpc://")
        program.send_signal(signal.SIGINT)
        assert program.wait(60) == 0
        assert "Traceback" not in program.stderr.read()
