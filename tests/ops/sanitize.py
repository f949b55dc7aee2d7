"""Random calls of the CPU's kernels under the address and undefined-behaviour sanitizers.

`python -m tests.ops.sanitize [CALLS [FIRST_CALL]]`; a call's number is the seed of its random numbers.
"""

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fcis_tf.ops.build import FLAGS, SOURCES, jobs_without_tensorflow

COMPILER = os.environ.get("CXX", "g++")
SANITIZERS = ["-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all"]


def build_program(folder):
    """Compiles fuzz_cpu_kernels.cc and the kernels into a folder, and returns the program's path."""
    jobs = [
        *jobs_without_tensorflow(),
        (Path(__file__).with_name("fuzz_cpu_kernels.cc"), "fuzz", ["-I", SOURCES / "kernels"]),
    ]

    def compile_one(job):
        source, name, flags = job
        target = folder / f"{name}.o"
        options = [*FLAGS, "-Og", "-g", "-D_GLIBCXX_ASSERTIONS", *SANITIZERS, *flags]
        subprocess.run([COMPILER, *options, "-c", source, "-o", target], check=True)
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, jobs))
    program = folder / "fuzz_cpu_kernels"
    subprocess.run([COMPILER, *SANITIZERS, *objects, "-o", program], check=True)
    return program


def main(arguments):
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run([build_program(Path(folder)), *arguments]).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
