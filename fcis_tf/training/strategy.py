"""On which devices, of one machine or of several, a run trains."""

import contextlib
import logging
import os
import signal
import threading
from typing import Annotated

import pydantic
import tensorflow as tf

from fcis_tf.errors import UserError
from fcis_tf.preemption import EXIT_STATUS
from fcis_tf.printable import printable

_logger = logging.getLogger(__name__)

_EXAMPLE = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'


_Address = Annotated[str, pydantic.Field(pattern=r"^[^\s:]+:[1-9][0-9]{0,4}$|^\[[^\s\]]+\]:[1-9][0-9]{0,4}$")]


class _Task(pydantic.BaseModel):
    """Which of the processes of a cluster this one is."""

    type: str
    index: Annotated[int, pydantic.Field(strict=True, ge=0)]


class _Cluster(pydantic.BaseModel):
    """What TF_CONFIG says; operators add keys of their own."""

    cluster: dict[str, list[_Address]]
    task: _Task


class WorkerLost(SystemExit):
    """Another worker ended or cannot be reached. Where nothing catches it, the exit status is that for "try again"."""

    def __init__(self):
        super().__init__(EXIT_STATUS)


def make_strategy(name):
    """Makes the strategy that a training runs under; of several machines this is the first that TensorFlow may do.

    Args:
        name: "one_device"; "mirrored" for all GPUs of this machine, or without any all of its logical processors;
            "multi_worker" for those of all machines that the environment variable TF_CONFIG lists; "auto" for
            multi_worker where TF_CONFIG names several, else mirrored where there are several GPUs, else one_device.

    Returns:
        A tf.distribute.Strategy.

    Raises:
        UserError: TF_CONFIG is missing or wrong.
        WorkerLost: the other workers did not come.
    """
    if name == "auto":
        name = _fitting_strategy()
    if name == "one_device":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    cluster = _read_cluster()
    _check_task(cluster)
    return _meet_workers(cluster)


def is_chief(strategy):
    """Returns whether this process is the one that writes checkpoints, curves and metrics."""
    resolver = strategy.cluster_resolver
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) or resolver.task_type == "chief":
        return True
    return resolver.task_id == 0 and "chief" not in resolver.cluster_spec().as_dict()


def largest_and_smallest(strategy, value):
    """Compares a whole number among all workers, which have to call this together.

    Args:
        strategy: of `make_strategy`.
        value: this worker's number.

    Returns:
        The largest and the smallest number of any worker.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return value, value
    local = strategy.experimental_distribute_values_from_function(lambda _: tf.constant([value], tf.int64))
    values = strategy.gather(local, axis=0).numpy()
    return int(values.max()), int(values.min())


@contextlib.contextmanager
def noticing_lost_workers():
    """Within it, what TensorFlow raises when another worker is gone becomes a line in the log, and a WorkerLost."""
    try:
        yield
    except tf.errors.OpError as error:
        if "Collective ops is aborted" not in error.message:
            raise
        _logger.error("another worker is gone; started again, all workers go on from the last checkpoint")
        raise WorkerLost from None


def _meet_workers(cluster):
    """Makes the strategy of several workers, when all of them are there."""
    others = [address for addresses in cluster.cluster.values() for address in addresses]
    others.remove(cluster.cluster[cluster.task.type][cluster.task.index])
    _logger.info("waiting for %s of TF_CONFIG", ", ".join(others) or "nobody")
    try:
        with _ctrl_c_at_once():
            return tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.OpError as error:
        _logger.error("not all workers of TF_CONFIG came: %s", printable(error.message.splitlines()[0]))
        raise WorkerLost from None


@contextlib.contextmanager
def _ctrl_c_at_once():
    """Within it Ctrl-C ends the process: TensorFlow lets no handler of Python's run while it waits for other workers.

    SIGTERM it takes for itself, and does nothing before all workers are there; nor is there anything to save.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _fitting_strategy():
    if "TF_CONFIG" in os.environ and sum(map(len, _read_cluster().cluster.values())) > 1:
        return "multi_worker"
    return "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "one_device"


def _read_cluster():
    text = os.environ.get("TF_CONFIG")
    if text is None:
        raise UserError(f"TF_CONFIG: expected something like {_EXAMPLE}, but it is not set")
    try:
        return _Cluster.model_validate_json(text)
    except pydantic.ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        found = f"{key + ': ' if key else ''}{problem['msg']}"
        raise UserError(f"TF_CONFIG: expected something like {_EXAMPLE}, but {printable(found)}") from None


def _check_task(found):
    cluster, kind, index = found.cluster, found.task.type, found.task.index
    if kind not in ("chief", "worker"):
        raise UserError(f"TF_CONFIG: expected a task of type chief or worker, found {kind}")
    count = len(cluster.get(kind, []))
    if index >= count:
        raise UserError(f"TF_CONFIG: this task is number {index}, from 0, of type {kind}, but the cluster has {count}")
