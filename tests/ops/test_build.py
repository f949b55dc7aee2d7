"""Building the library of native operators, and doing without it."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import tensorflow as tf

from fcis_tf.ops import native, ps_roi_pool
from fcis_tf.ops.build import FAMILIES, INSTRUCTION_SETS, BuildError, build

ROOT = Path(__file__).parents[2]
CACHED = (native.reason_for_absence, native.is_available, native._library)
ARGUMENTS = [[[[[1.0]]]], [[0.0, 0.0, 1.0, 1.0]], [0]]
SIZES = {"group_size": 1, "pooled_size": 1, "stride": 1}


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Where the native operators are looked for: nothing is there yet."""
    path = tmp_path / "lib" / "operators.so"
    path.parent.mkdir()
    monkeypatch.setattr(native, "LIBRARY", path)
    for function in CACHED:
        function.cache_clear()
    yield path
    for function in CACHED:
        function.cache_clear()


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """Writes a shell script that serves as the compiler."""

    def write(script):
        path = tmp_path / "compiler"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("CXX", str(path))
        # test_build_cuda.py is about nvcc.
        monkeypatch.setenv("FCIS_TF_CUDA", "0")

    return write


def write_library(path, content, tensorflow=tf.__version__):
    path.write_bytes(content)
    checksum = hashlib.sha256(content).hexdigest()
    native.built_for_path(path).write_text(json.dumps({"tensorflow": tensorflow, "sha256": checksum}))


def check_that_portable_operators_run(reason):
    """Checks for one warning of one line, however often operators are used, and for a refusal where native is asked."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            assert float(ps_roi_pool(*ARGUMENTS, **SIZES)[0, 0, 0, 0]) == 1
    (warning,) = [str(each.message) for each in caught if "fcis_tf" in str(each.message)]
    assert re.search(reason, warning) and "\n" not in warning and "make setup" in warning
    with pytest.raises(ValueError, match=f"the native operators cannot be used: .*{reason}"):
        ps_roi_pool(*ARGUMENTS, **SIZES, implementation="native")


# Without the library


def test_a_missing_library(library):
    check_that_portable_operators_run("were not built: .*operators.so is missing")


def test_a_library_for_another_tensorflow(library):
    write_library(library, b"of another time", tensorflow="2.99.1")
    check_that_portable_operators_run(f"built for TensorFlow 2.99.1, and this is {tf.__version__}")


def test_a_library_that_was_cut_short(library):
    write_library(library, b"1234567890" * 1000)
    library.write_bytes(library.read_bytes()[:5000])
    check_that_portable_operators_run("operators.so is damaged: it is not what was built")


def test_a_library_that_is_none(library):
    write_library(library, b"not what a linker makes\n" * 100)
    check_that_portable_operators_run("operators.so cannot be loaded: ")


@pytest.mark.parametrize("content", ["", "[]", '"2.20.0"', "{}", '{"tensorflow": "2.20.0"}'])
def test_a_description_that_is_none(library, content):
    library.write_bytes(b"")
    native.built_for_path(library).write_text(content)
    check_that_portable_operators_run("operators.json is damaged")


# Building


def test_without_a_compiler_the_build_says_so_in_one_line():
    environment = {name: value for name, value in os.environ.items() if name != "CXX"}
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PATH": ""}
    command = [sys.executable, "-m", "fcis_tf.ops.build"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    prefix = "WARNING: the native operators were not built; slower, portable ones will run instead. "
    assert line == prefix + "no C++ compiler: g++ is not there"


def test_a_compiler_that_is_not_there(library, monkeypatch):
    monkeypatch.setenv("CXX", "/nonexistent")
    with pytest.raises(BuildError, match=r"no C\+\+ compiler: /nonexistent is not there"):
        build(library)


def test_errors_show_what_the_compiler_said(library, compiler):
    compiler("echo 'x.cc:1: error: no such luck' >&2; exit 1")
    with pytest.raises(BuildError, match="x.cc:1: error: no such luck"):
        build(library)
    assert list(library.parent.iterdir()) == []


def test_after_a_failed_build_no_older_library_passes_for_the_new_one(library, compiler):
    write_library(library, b"old")
    compiler("exit 1")
    with pytest.raises(BuildError):
        build(library)
    assert list(library.parent.iterdir()) == []


def test_the_library_and_its_description(library, compiler, tmp_path):
    compiler(f'echo "$*" >> {tmp_path}/calls; while [ "$1" != -o ]; do shift; done; echo made > "$2"')
    build(library)
    assert library.read_text() == "made\n"
    description = json.loads(native.built_for_path(library).read_text())
    checksum = hashlib.sha256(b"made\n").hexdigest()
    assert description == {"tensorflow": tf.__version__, "cuda": None, "sha256": checksum}
    # The linker takes the first definition of an inline function, and so not the one for the newest processors.
    linking = (tmp_path / "calls").read_text().splitlines()[-1]
    assert "-shared" in linking
    objects = re.findall(r"(\w+)\.o\b", linking)
    expected = [f"{family}_{name}" for name in INSTRUCTION_SETS for family in FAMILIES]
    assert objects[-len(expected) :] == expected and len(objects) > len(expected)


def test_an_installed_package_has_no_sources(library, monkeypatch, tmp_path):
    monkeypatch.setattr("fcis_tf.ops.build.SOURCES", tmp_path / "cc")
    with pytest.raises(BuildError, match="no sources"):
        build(library)


def test_only_functions_chosen_at_run_time_need_more_than_the_baseline():
    if native.reason_for_absence() or "avx512" not in INSTRUCTION_SETS or not shutil.which("objdump"):
        pytest.skip("the library, objdump or x86-64 is not there")
    listing = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", native.LIBRARY], capture_output=True, text=True, check=True
    ).stdout
    registers = {"avx2": "%ymm", "avx512": "%zmm"}
    found = set()
    for function, body in re.findall(r"^[0-9a-f]+ <(.+)>:\n((?:.+\n)*)", listing, re.MULTILINE):
        for name, register in registers.items():
            if register in body:
                assert any(other in function for other in registers), f"{function} needs {name}"
                found.add(name)
    assert found == set(registers)
