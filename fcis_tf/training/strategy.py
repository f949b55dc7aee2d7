"""On which devices, of one machine or of several, a run trains."""

import contextlib
import json
import logging
import os

import tensorflow as tf

from fcis_tf.errors import UserError
from fcis_tf.preemption import EXIT_STATUS

_logger = logging.getLogger(__name__)

_EXAMPLE = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'


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
    """
    if name == "auto":
        name = _fitting_strategy()
    if name == "one_device":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    _check_cluster(_read_cluster())
    return tf.distribute.MultiWorkerMirroredStrategy()


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


def _fitting_strategy():
    if "TF_CONFIG" in os.environ and sum(map(len, _read_cluster()["cluster"].values())) > 1:
        return "multi_worker"
    return "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "one_device"


def _read_cluster():
    try:
        values = json.loads(os.environ["TF_CONFIG"])
        cluster, task = values["cluster"], values["task"]
        addresses = {kind: [str(address) for address in addresses] for kind, addresses in cluster.items()}
        return {"cluster": addresses, "kind": str(task["type"]), "index": int(task["index"])}
    except KeyError as error:
        found = "it is not set" if error.args == ("TF_CONFIG",) else f"{error.args[0]} is missing"
    except (TypeError, ValueError, AttributeError) as error:
        found = f"it cannot be read: {error}"
    raise UserError(f"TF_CONFIG: expected something like {_EXAMPLE}, but {found}")


def _check_cluster(found):
    cluster, kind, index = found["cluster"], found["kind"], found["index"]
    if kind not in ("chief", "worker"):
        raise UserError(f"TF_CONFIG: expected a task of type chief or worker, found {kind}")
    count = len(cluster.get(kind, []))
    if not 0 <= index < count:
        raise UserError(f"TF_CONFIG: this task is number {index}, from 0, of type {kind}, but the cluster has {count}")
