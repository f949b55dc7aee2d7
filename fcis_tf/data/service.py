"""Training batches from workers of a tf.data service: `python -m fcis_tf.data.service dispatcher|worker`.

    python -m fcis_tf.data.service dispatcher --port 5000
    python -m fcis_tf.data.service worker --dispatcher HOST:5000        (on every machine that is to help)
    python train.py --config CONFIG --tf-data-service grpc://HOST:5000

Workers read the images themselves, by the paths that the training program knows them by, and take everything else
from the dispatcher. Anyone who reaches the ports can use them: they belong into a private network.
"""

import argparse
import os
import re
import signal
import socket
import threading

import tensorflow as tf

from fcis_tf.command_line import run_program, whole_number
from fcis_tf.errors import UserError

# For an answer from a dispatcher.
_SECONDS = 10.0


def batches_of_service(batches, address):
    """Lets the workers of a tf.data service make batches.

    Every step's batch is made by one worker and appears once, the same as it would be without a service. But batches
    come in the order in which workers finish them, and a run that stops at step k may have seen a few of the batches
    behind the k-th instead of some before: when it is resumed, it goes on with all batches from the k-th. The batches
    that a worker was about to make when it was stopped are missing.

    Args:
        batches: tf.data.Dataset of `training_batches`.
        address: of the dispatcher, such as "grpc://localhost:5000".

    Returns:
        tf.data.Dataset of the same elements.

    Raises:
        UserError: nothing answers at the address, or it isn't one.
    """
    if not address.startswith("grpc://"):
        raise UserError(f"--tf-data-service {address}: expected grpc://HOST:PORT")
    _check_address(address.removeprefix("grpc://"), f"--tf-data-service {address}")
    sharding = tf.data.experimental.service.ShardingPolicy.DYNAMIC
    return batches.apply(tf.data.experimental.service.distribute(sharding, address))


def start_dispatcher(port):
    """Starts a dispatcher on a port, 0 for any that is free, and returns it.

    Raises:
        UserError: the port is taken.
    """
    _check_port(port)
    service = tf.data.experimental.service
    return service.DispatchServer(service.DispatcherConfig(port=port))


def start_worker(dispatcher, host, port):
    """Starts a worker and returns it.

    Args:
        dispatcher: "HOST:PORT" of the dispatcher.
        host: by which name trainers reach the worker.
        port: the worker's port, 0 for any that is free.

    Raises:
        UserError: the port is taken, or nothing answers at the dispatcher's address.
    """
    _check_port(port)
    _check_address(dispatcher, f"--dispatcher {dispatcher}")
    service = tf.data.experimental.service
    config = service.WorkerConfig(dispatcher, worker_address=f"{host}:{port or '%port%'}", port=port)
    return service.WorkerServer(config)


def _check_port(port):
    """Tries to listen on a port, since TensorFlow would silently share it with another program."""
    try:
        socket.create_server(("", port)).close()
    except OSError as error:
        raise UserError(f"--port {port}: {os.strerror(error.errno)}") from None


def _check_address(address, argument):
    """Tries to reach a dispatcher at HOST:PORT, since TensorFlow would go on trying for hours."""
    found = re.fullmatch(r"(\[[^\]]+\]|[^:/\[\]]+):([0-9]{1,5})", address)
    if not found:
        raise UserError(f"{argument}: expected HOST:PORT")
    try:
        socket.create_connection((found[1].strip("[]"), int(found[2])), _SECONDS).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise UserError(f"{argument}: no dispatcher can be reached there: {error}") from None


def main():
    parser = argparse.ArgumentParser(
        prog="python -m fcis_tf.data.service",
        description="Runs a part of a tf.data service, which makes training batches on other processors, until it is "
        "stopped with Ctrl-C. Workers read the images themselves, by the paths that train.py knows them by. Whoever "
        "reaches the ports can use them: keep them within a private network.",
    )
    roles = parser.add_subparsers(dest="role", required=True)
    dispatcher = roles.add_parser("dispatcher", help="hands out the work; there is one")
    dispatcher.add_argument("--port", type=whole_number(0, 65535), default=5000, help="0 for any [%(default)s]")
    worker = roles.add_parser("worker", help="makes batches; there may be many")
    worker.add_argument("--dispatcher", required=True, metavar="HOST:PORT", help="address of the dispatcher")
    worker.add_argument("--host", default="localhost", help="name by which train.py reaches the worker [%(default)s]")
    worker.add_argument("--port", type=whole_number(0, 65535), default=0, help="0 for any [%(default)s]")
    arguments = parser.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    if arguments.role == "dispatcher":
        server = start_dispatcher(arguments.port)
        print(f"dispatcher: train.py --tf-data-service {server.target}", flush=True)
    else:
        server = start_worker(arguments.dispatcher, arguments.host, arguments.port)
        print(f"worker of {arguments.dispatcher}", flush=True)
    stopped.wait()


if __name__ == "__main__":
    run_program(main)
