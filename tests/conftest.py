"""What tests of the command-line programs share."""

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def run(monkeypatch):
    """Runs a program of the top level and returns its exit status, 0 for success."""

    def run_program(program, *arguments):
        monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            runpy.run_path(str(ROOT / program), run_name="__main__")
        return exit_.value.code or 0

    return run_program
