"""That the pinned packages work together where nothing else would notice."""

import importlib
import os
import re
import shutil
from pathlib import Path

import pytest

from fcis_tf.ops import native

ROOT = Path(__file__).parents[1]


def test_tensorboard_starts():
    assert importlib.import_module("tensorboard.default").get_plugins()


def test_wheels_are_built_for_the_tensorflow_that_runs_them():
    (pin,) = re.findall(r"^tensorflow==.*", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert f'"{pin}"' in (ROOT / "pyproject.toml").read_text()


def test_the_native_operators_are_there_wherever_they_can_be_built():
    if not shutil.which(os.environ.get("CXX", "g++")):
        pytest.skip("there is no compiler")
    assert native.reason_for_absence() is None
