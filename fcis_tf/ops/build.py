"""Builds the library of native operators: `python -m fcis_tf.ops.build`.

The CPU's part needs g++ (or the compiler that CXX names) alone; the GPU's part is added where nvcc is on the PATH,
unless FCIS_TF_CUDA=0 is in the environment. With the GPU's part in it the library still loads where there is no CUDA.
"""

import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import tensorflow as tf

from fcis_tf.ops.native import LIBRARY, built_for_path

SOURCES = Path(__file__).parent / "cc"
FAMILIES = ("position_sensitive", "mask_rendering")

# The loops are compiled once for every instruction set; which one runs is decided at run time.
INSTRUCTION_SETS = {"baseline": []}
if platform.machine() in ("x86_64", "AMD64"):
    INSTRUCTION_SETS["avx2"] = ["-mavx2", "-mfma"]
    INSTRUCTION_SETS["avx512"] = ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"]
# Products and sums are rounded one by one, as the operators' definition has it.
FLAGS = ["-std=c++17", "-O3", "-fPIC", "-Wall", "-Wextra", "-Wno-psabi", "-ffp-contract=off", "-fvisibility=hidden"]
# Machine code for A100 and H100; others compile PTX when the library is first used.
CUDA_FLAGS = ["-std=c++17", "-O3", "-Xcompiler=-fPIC,-fvisibility=hidden"]
CUDA_FLAGS += ["-gencode=arch=compute_80,code=sm_80", "-gencode=arch=compute_90,code=[sm_90,compute_90]"]


class BuildError(Exception):
    """The library cannot be built; the message says why."""

    def __str__(self):
        return f"the native operators were not built; slower, portable ones will run instead. {super().__str__()}"


def build(library=LIBRARY):
    """Compiles the native operators.

    Args:
        library: path of the shared library to write; what it was built for is written beside it.

    Returns:
        The version of CUDA whose kernels are in it, or None where it is for the CPU alone.

    Raises:
        BuildError: there is no compiler, or it fails.
    """
    if not SOURCES.is_dir():
        raise BuildError(f"{SOURCES} is not there: an installed package has the library, or none, but no sources")
    compiler = shlex.split(os.environ.get("CXX", "g++"))
    if not compiler or not shutil.which(compiler[0]):
        raise BuildError(f"no C++ compiler: {' '.join(compiler)} is not there")
    library = Path(library)
    library.parent.mkdir(parents=True, exist_ok=True)
    # Should this fail, an old library must not pass for that of these sources.
    for path in (library, built_for_path(library)):
        path.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(os.cpu_count()) as pool:
        cpu_objects = [pool.submit(_compile, scratch, [*compiler, *FLAGS, *flags], *job) for *job, flags in _cpu_jobs()]
        version, cuda_objects, cuda_libraries = _compile_cuda_if_there(compiler, scratch, pool)
        objects = [*cuda_objects, *(job.result() for job in cpu_objects)]
        made = Path(scratch) / library.name
        _run([*compiler, "-shared", *objects, "-o", made, *cuda_libraries, *tf.sysconfig.get_link_flags()])
        # In one step: nobody loads half of it.
        shutil.copy(made, library.with_suffix(".new"))
        os.replace(library.with_suffix(".new"), library)
    checksum = hashlib.sha256(library.read_bytes()).hexdigest()
    built_for = {"tensorflow": tf.__version__, "cuda": version, "sha256": checksum}
    built_for_path(library).write_text(json.dumps(built_for) + "\n")
    return version


def jobs_without_tensorflow():
    """Returns (source, name of the object, flags) of the loops and of the choice among them, in the linker's order."""
    kernels = SOURCES / "kernels"
    return [
        (kernels / "instruction_sets.cc", "instruction_sets", []),
        *((kernels / f"{family}_cpu_dispatch.cc", f"{family}_dispatch", []) for family in FAMILIES),
        # These come last, the baseline first: of an inline function that several objects define, the linker takes the
        # first one, which must not be one that was compiled for processors that not everybody has.
        *(
            (kernels / f"{family}_cpu.cc", f"{family}_{name}", [f"-DFCIS_TF_ISA={name}", *flags])
            for name, flags in INSTRUCTION_SETS.items()
            for family in FAMILIES
        ),
    ]


def _cpu_jobs():
    """Returns (source, name of the object, flags) of everything that is compiled for the CPU, in the linker's order."""
    with_tensorflow = [
        (SOURCES / folder / f"{family}_{kind}.cc", f"{family}_{kind}", _tensorflow_flags())
        for folder, kind in (("kernels", "cpu_kernels"), ("ops", "ops"))
        for family in FAMILIES
    ]
    return with_tensorflow + jobs_without_tensorflow()


def _tensorflow_flags():
    headers, *macros = tf.sysconfig.get_compile_flags()
    # As system headers TensorFlow's own warnings stay out of the way.
    return ["-isystem", headers.removeprefix("-I"), *(macro for macro in macros if not macro.startswith("--std"))]


def _compile(scratch, command, source, name):
    """Runs a compiler, with its flags, on a source, and returns the path of the object."""
    target = Path(scratch) / f"{name}.o"
    _run([*command, "-c", source, "-o", target])
    return target


def _compile_cuda_if_there(compiler, scratch, pool):
    """Returns CUDA's version, the objects for the GPU and the flags for linking them; None and nothing without CUDA."""
    if not shutil.which("nvcc") or os.environ.get("FCIS_TF_CUDA") == "0":
        return None, [], []
    try:
        version, headers, libraries = _find_cuda(scratch)
        nvcc = ["nvcc", "-ccbin", compiler[0], *CUDA_FLAGS]
        host = [*compiler, *FLAGS, *_tensorflow_flags(), *headers]
        jobs = [
            pool.submit(_compile, scratch, nvcc, SOURCES / "kernels" / "position_sensitive_gpu.cu", "gpu"),
            pool.submit(
                _compile, scratch, host, SOURCES / "kernels" / "position_sensitive_gpu_kernels.cc", "gpu_kernels"
            ),
        ]
        wait(jobs)
        return version, [job.result() for job in jobs], libraries
    except BuildError as error:
        print(f"WARNING: the native operators are built for the CPU alone. {error.args[0]}", file=sys.stderr)
        return None, [], []


def _find_cuda(scratch):
    """Returns nvcc's version, and the flags for CUDA's headers and for its runtime, linked statically."""
    source = Path(scratch) / "empty.cu"
    source.touch()
    version = re.search(r"release ([0-9.]+)", _run(["nvcc", "--version"]).stdout)
    # nvcc on the PATH may be a link or a script, but says where it looks.
    said = _run(["nvcc", "--dryrun", "-c", source, "-o", os.devnull], quiet=True).stderr
    headers = re.findall(r'"-I([^"]+)"', "".join(re.findall("INCLUDES=.*", said)))
    libraries = re.findall(r'"-L([^"]+)"', "".join(re.findall("LIBRARIES=.*", said)))
    if not version or not any((Path(folder) / "libcudart_static.a").exists() for folder in libraries):
        raise BuildError(f"libcudart_static.a of CUDA is not in any of {libraries}")
    runtime = [*(f"-L{folder}" for folder in libraries), "-lcudart_static", "-ldl", "-lrt", "-lpthread"]
    # TensorFlow brings a CUDA runtime of its own, with functions of the same names.
    runtime.append("-Wl,--exclude-libs,libcudart_static.a")
    return version[1], [flag for folder in headers for flag in ("-isystem", folder)], runtime


def _run(command, quiet=False):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"{' '.join(map(str, command))}\n{done.stderr}")
    if done.stderr and not quiet:
        print(done.stderr, file=sys.stderr)
    return done


if __name__ == "__main__":
    try:
        cuda = build()
    except BuildError as error:
        sys.exit(f"WARNING: {error}")
    print(f"built {LIBRARY}, " + (f"with CUDA {cuda}" if cuda else "for the CPU alone"))
