"""A worker process of the DirectRunner, which starts it with this module as its program."""

import logging
import os
import shlex
import signal
import sys

from fcis_tf.batch_predict.quiet_beam import import_beam_quietly
from fcis_tf.end_with_parent import end_with_parent


def worker_command(workers):
    """Returns the shell command that starts one of `workers` workers, which share the processors evenly."""
    threads = max(1, len(os.sched_getaffinity(0)) // workers)
    # TensorFlow reads them from the environment; what the user has set there stays.
    variables = {
        "TF_NUM_INTRAOP_THREADS": threads,
        "TF_NUM_INTEROP_THREADS": threads,
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }
    settings = [f"{name}={os.environ.get(name, default)}" for name, default in variables.items()]
    # No shell may stand between this process and the worker, which ends when its parent does.
    return f"exec env {shlex.join([*settings, sys.executable, '-m', __name__])}"


def main():
    """Works until the runner, or its process, ends."""
    end_with_parent()
    # Ctrl-C reaches all processes of a terminal; the runner's has it that all end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # Errors reach the user by way of the runner; logging has hold of the stream on which Beam would print them as well.
    import_beam_quietly(logging.CRITICAL)
    sys.stderr = open(os.devnull, "w")
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main([])


if __name__ == "__main__":
    main()
