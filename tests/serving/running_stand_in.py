"""The stand-in for TensorFlow Serving as a process of its own."""

import contextlib
import re
import subprocess
import sys
from pathlib import Path

STAND_IN = Path(__file__).parents[2] / "serving" / "stand_in.py"


@contextlib.contextmanager
def running_stand_in(base_path, folder):
    """Runs the stand-in in a folder from where fcis_tf cannot be imported.

    Args:
        base_path: of the model.
        folder: an empty one.

    Yields:
        (its address, localhost:PORT; its process id).
    """
    command = [sys.executable, STAND_IN, base_path, "--port", "0"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        ready = re.search(r"^stand-in for TensorFlow Serving: .*, at (localhost:\d+)$", line)
        assert ready, f"{line}{process.stderr.read()}"
        yield ready[1], process.pid
    finally:
        process.kill()
        process.communicate()
