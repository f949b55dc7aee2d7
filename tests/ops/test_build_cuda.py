"""When the library of native operators is built with CUDA kernels, and when not; compilers are shell scripts here."""

import json
import os

import pytest

from fcis_tf.ops import native
from fcis_tf.ops.build import BuildError, build

# Makes what -o names.
COMPILER = 'while [ "$1" != -o ]; do shift; done; echo made > "$2"'
NVCC = """case "$*" in
  *--version*) echo "Cuda compilation tools, release 12.9, V12.9.41" ;;
  *--dryrun*) echo '#$ INCLUDES="-I{cuda}/include"' >&2; echo '#$ LIBRARIES=  "-L{cuda}/stubs" "-L{cuda}/lib"' >&2 ;;
  *) {compile} ;;
esac"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with a C++ compiler: writes scripts onto its PATH."""

    def write(name, script):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "$0 $*" >> {tmp_path}/calls\n{script}\n')
        path.chmod(0o755)

    for folder in ("cuda/include", "cuda/lib"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "cuda/lib/libcudart_static.a").touch()
    write("compiler", COMPILER)
    without_nvcc = [folder for folder in os.environ["PATH"].split(":") if not os.path.exists(f"{folder}/nvcc")]
    monkeypatch.setenv("PATH", ":".join([str(tmp_path / "bin"), *without_nvcc]))
    monkeypatch.setenv("CXX", "compiler")
    monkeypatch.delenv("FCIS_TF_CUDA", raising=False)
    return write


def build_and_read(tmp_path):
    """Returns what build() returns, what the file beside the library says of CUDA, and how the library was linked."""
    library = tmp_path / "lib" / "operators.so"
    version = build(library)
    assert library.read_text() == "made\n"
    return version, json.loads(native.built_for_path(library).read_text())["cuda"], calls(tmp_path)[-1]


def calls(tmp_path):
    return (tmp_path / "calls").read_text().splitlines()


def test_with_nvcc_the_kernels_are_built_and_the_runtime_is_linked_statically(machine, tmp_path, capsys):
    machine("nvcc", NVCC.format(cuda=tmp_path / "cuda", compile=COMPILER))
    version, recorded, linking = build_and_read(tmp_path)
    assert version == recorded == "12.9"
    assert "gpu.o" in linking and "gpu_kernels.o" in linking
    assert f"-L{tmp_path}/cuda/lib -lcudart_static" in linking
    (kernels,) = [call for call in calls(tmp_path) if "position_sensitive_gpu.cu" in call]
    for target in ("code=sm_80", "code=[sm_90,compute_90]"):
        assert target in kernels
    (wrapper,) = [call for call in calls(tmp_path) if "position_sensitive_gpu_kernels.cc" in call]
    assert f"-isystem {tmp_path}/cuda/include" in wrapper
    assert capsys.readouterr() == ("", "")


def test_without_nvcc_there_are_no_kernels_and_no_warning(machine, tmp_path, capsys):
    version, recorded, linking = build_and_read(tmp_path)
    assert version is None and recorded is None and "gpu" not in linking and "cudart" not in linking
    assert capsys.readouterr() == ("", "")


def test_nvcc_can_be_left_alone(machine, tmp_path, monkeypatch):
    machine("nvcc", "exit 1")
    monkeypatch.setenv("FCIS_TF_CUDA", "0")
    version, recorded, _ = build_and_read(tmp_path)
    assert version is None and recorded is None
    assert not [call for call in calls(tmp_path) if "bin/nvcc " in call]


@pytest.mark.parametrize(
    "script, reason",
    [
        ("echo 'unsupported GNU version' >&2; exit 1", "unsupported GNU version"),
        (NVCC.format(cuda="/nonexistent", compile=COMPILER), "libcudart_static.a"),
        (NVCC.format(cuda="{cuda}", compile="echo 'no sm_80' >&2; exit 1"), "no sm_80"),
    ],
)
def test_when_nvcc_fails_the_cpu_part_is_built_after_a_warning(machine, tmp_path, capsys, script, reason):
    machine("nvcc", script.replace("{cuda}", str(tmp_path / "cuda")))
    version, recorded, linking = build_and_read(tmp_path)
    assert version is None and recorded is None and "gpu" not in linking and "cudart" not in linking
    error = capsys.readouterr().err
    assert error.startswith("WARNING: the native operators are built for the CPU alone.") and reason in error


def test_without_a_working_compiler_nothing_is_built(machine, tmp_path):
    machine("nvcc", NVCC.format(cuda=tmp_path / "cuda", compile=COMPILER))
    machine("compiler", "echo 'no such luck' >&2; exit 1")
    with pytest.raises(BuildError, match="no such luck"):
        build(tmp_path / "operators.so")
    assert not (tmp_path / "operators.so").exists()
