"""The stand-in for TensorFlow Serving, started as a process of its own."""

import contextlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

STAND_IN = Path(__file__).with_name("stand_in.py").resolve()


@contextlib.contextmanager
def running_stand_in(base_path, *options):
    """Runs the stand-in until the context is left, in a directory from where fcis_tf cannot be imported.

    Args:
        base_path: of the model.
        options: further arguments of the stand-in.

    Yields:
        (its address, localhost:PORT; its process id), when it is ready.

    Raises:
        RuntimeError: it ended before it was ready; the message is its own.
    """
    command = [sys.executable, STAND_IN, Path(base_path).resolve(), "--port", "0", *options]
    with tempfile.TemporaryDirectory() as elsewhere:
        process = subprocess.Popen(
            [str(word) for word in command], cwd=elsewhere, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            ready = re.search(r", at (localhost:\d+)$", process.stdout.readline())
            if not ready:
                raise RuntimeError(process.stderr.read().strip())
            yield ready[1], process.pid
        finally:
            process.kill()
            process.communicate()
