"""The Docker image for training: what goes into it, and that TensorFlow's libraries of CUDA are those it asks for."""

import importlib.metadata
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


@pytest.fixture(scope="module")
def instructions():
    """[(instruction, its text)]."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line]


def sent_to_docker(path):
    """Returns whether Dockerfile.dockerignore lets a path of the repository through; the last rule that fits counts."""
    sent = True
    for rule in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines():
        if rule and not rule.startswith("#"):
            pattern = rule.removeprefix("!")
            if any(fnmatch(str(part), pattern) for part in (path, *path.parents)):
                sent = rule.startswith("!")
    return sent


def test_what_is_copied_is_there_and_is_sent_to_docker(instructions):
    copied = [
        Path(source)
        for instruction, text in instructions
        if instruction == "COPY" and not text.startswith("--from")
        for source in text.split()[:-1]
    ]
    assert {Path("fcis_tf"), Path("configs"), Path("train.py"), Path("constraints.txt")} <= set(copied)
    for path in copied:
        assert (ROOT / path).exists() and sent_to_docker(path), path
    assert not sent_to_docker(Path("fcis_tf/ops/lib")) and not sent_to_docker(Path(".venv"))


def test_the_image_trains_as_a_user_of_its_own(instructions):
    assert ("USER", "1000") in instructions
    # Signals reach the program from its first moment on.
    assert instructions[-1] == ("ENTRYPOINT", '["tini", "--", "python", "train.py"]')
    last_stage = max(index for index, (instruction, _) in enumerate(instructions) if instruction == "FROM")
    assert any(" tini " in text for instruction, text in instructions[last_stage:] if instruction == "RUN")


def test_the_libraries_of_cuda_are_those_of_tensorflow(instructions):
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)$", (DEPLOY / "cuda_libraries.txt").read_text(), re.MULTILINE))
    requirements = map(Requirement, importlib.metadata.requires("tensorflow"))
    wanted = {
        requirement.name: requirement.specifier
        for requirement in requirements
        if requirement.marker and requirement.marker.evaluate({"extra": "and-cuda"}) and "nvidia" in requirement.name
    }
    assert wanted.keys() == pinned.keys()
    for name, specifier in wanted.items():
        assert specifier.contains(pinned[name]), name
    # The kernels' compiler is of the same CUDA.
    image = instructions[0][1]
    compiler = re.fullmatch(r"nvidia/cuda:(\d+\.\d+)\.\d+-devel-\S+ AS build", image)
    assert pinned["nvidia-cuda-runtime-cu12"].startswith(compiler[1] + ".")
