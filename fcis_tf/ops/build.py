"""Builds the library of native operators: `python -m fcis_tf.ops.build`.

The CPU's part needs g++ (or the compiler that CXX names) alone; the GPU's part is added where nvcc is on the PATH.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tensorflow as tf

from fcis_tf.ops.native import LIBRARY, built_for_path

SOURCES = Path(__file__).parent / "cc"

# The loops over cells are compiled once for every instruction set; which one runs is decided at run time.
INSTRUCTION_SETS = {"baseline": []}
if platform.machine() in ("x86_64", "AMD64"):
    INSTRUCTION_SETS["avx2"] = ["-mavx2", "-mfma"]
    INSTRUCTION_SETS["avx512"] = ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"]
# Products and sums are rounded one by one, as the operators' definition has it.
FLAGS = ["-std=c++17", "-O3", "-fPIC", "-Wall", "-Wextra", "-Wno-psabi", "-ffp-contract=off", "-fvisibility=hidden"]


class BuildError(Exception):
    """The library cannot be built; the message says why."""

    def __str__(self):
        return f"the native operators were not built; slower, portable ones will run instead. {super().__str__()}"


def build(library=LIBRARY):
    """Compiles the native operators.

    Args:
        library: path of the shared library to write; what it was built for is written beside it.

    Raises:
        BuildError: there is no compiler, or it fails.
    """
    if not SOURCES.is_dir():
        raise BuildError(f"{SOURCES} is not there: an installed package has the library, or none, but no sources")
    compiler = os.environ.get("CXX", "g++")
    if not shutil.which(compiler):
        raise BuildError(f"no C++ compiler: {compiler} is not there")
    headers, *macros = tf.sysconfig.get_compile_flags()
    # As system headers TensorFlow's own warnings stay out of the way.
    tensorflow_flags = ["-isystem", headers.removeprefix("-I"), *(m for m in macros if not m.startswith("--std"))]
    kernels = SOURCES / "kernels"
    jobs = [
        (kernels / "position_sensitive_cpu_kernels.cc", "kernels", tensorflow_flags),
        (SOURCES / "ops" / "position_sensitive_ops.cc", "ops", tensorflow_flags),
        (kernels / "position_sensitive_cpu_dispatch.cc", "dispatch", []),
    ]
    # These come last, the baseline first: of an inline function that several objects define, the linker takes the first
    # one, which must not be one that was compiled for processors that not everybody has.
    jobs += [
        (kernels / "position_sensitive_cpu.cc", name, [f"-DFCIS_TF_ISA={name}", *flags])
        for name, flags in INSTRUCTION_SETS.items()
    ]
    library = Path(library)
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(os.cpu_count()) as pool:

        def compile_one(job):
            source, name, flags = job
            target = Path(scratch) / f"{name}.o"
            _run([compiler, *FLAGS, *flags, "-c", source, "-o", target])
            return target

        objects = list(pool.map(compile_one, jobs))
        made = Path(scratch) / library.name
        _run([compiler, "-shared", *objects, "-o", made, *tf.sysconfig.get_link_flags()])
        # In one step: a library that is loaded keeps its old file.
        shutil.copy(made, library.with_suffix(".new"))
        os.replace(library.with_suffix(".new"), library)
    built_for = {"tensorflow": tf.__version__, "sha256": hashlib.sha256(library.read_bytes()).hexdigest()}
    built_for_path(library).write_text(json.dumps(built_for) + "\n")


def _run(command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"{' '.join(map(str, command))}\n{done.stderr}")
    if done.stderr:
        print(done.stderr, file=sys.stderr)


if __name__ == "__main__":
    try:
        build()
    except BuildError as error:
        sys.exit(f"WARNING: {error}")
    print(f"built {LIBRARY}")
