"""That the pinned packages work together where nothing else would notice."""

import importlib
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_tensorboard_starts():
    assert importlib.import_module("tensorboard.default").get_plugins()


def test_wheels_are_built_for_the_tensorflow_that_runs_them():
    (pin,) = re.findall(r"^tensorflow==.*", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert f'"{pin}"' in (ROOT / "pyproject.toml").read_text()
