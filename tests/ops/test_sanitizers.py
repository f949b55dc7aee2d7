"""A slice of `make sanitize`."""

import re
import shutil
import subprocess

import pytest

from fcis_tf.ops.build import FAMILIES, INSTRUCTION_SETS
from tests.ops import sanitize


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sanitizers")
    (folder / "empty.cc").write_text("int main() {}\n")
    command = [sanitize.COMPILER, *sanitize.SANITIZERS, folder / "empty.cc", "-o", folder / "empty"]
    if not shutil.which(sanitize.COMPILER) or subprocess.run(command, capture_output=True).returncode:
        pytest.skip(f"{sanitize.COMPILER} with sanitizers is not there")
    return sanitize.build_program(folder)


def test_random_calls_without_a_finding(program):
    done = subprocess.run([program, "2000"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch("2000 random calls without a finding, with .*baseline\n", done.stdout)


@pytest.mark.parametrize("family", FAMILIES)
def test_instruction_sets_share_no_functions(program, family):
    if not shutil.which("nm"):
        pytest.skip("nm is not there")
    for name in INSTRUCTION_SETS:
        command = ["nm", "--demangle", "--defined-only", program.with_name(f"{family}_{name}.o")]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        # Weak ones are those of which the linker keeps one for all.
        weak = [line for line in lines if re.match(r"\S+ [WVu] ", line) and f"fcis_tf::{name}::" not in line]
        assert [line for line in weak if "personality" not in line] == []
