"""Checkpoints: saving in the background, finding those that are whole, full disks."""

import contextlib
import logging
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from fcis_tf import checkpoints
from fcis_tf.checkpoints import CheckpointWriter, copy_checkpoint, find_checkpoint, remove_leftovers, restore
from fcis_tf.errors import UserError

STEPS = (5, 6, 7)


class Run:
    """What stands for a run: a network of two variables and an optimiser of one, filled with a number."""

    def __init__(self, number=0.0):
        values = np.full(2000, float(number))
        self.model = SimpleNamespace(variables=[keras.Variable(values, name=name) for name in ("a", "b")])
        self.optimizer = SimpleNamespace(variables=[keras.Variable(values, name="momentum")])
        self.step = tf.Variable(int(number), dtype=tf.int64)

    def fill(self, number):
        for variable in self.model.variables + self.optimizer.variables:
            variable.assign(np.full(2000, float(number)))
        self.step.assign(int(number))

    def writer(self, model_dir, keep=3):
        return CheckpointWriter(self.model, self.optimizer, self.step, model_dir, keep)

    def restore(self, path):
        restore(path, self.model, self.step, self.optimizer)
        return self.values()

    def values(self):
        values = {float(value) for v in self.model.variables + self.optimizer.variables for value in np.unique(v)}
        return values | {float(self.step.numpy())}


def save(model_dir, steps=STEPS, keep=3):
    run = Run()
    with run.writer(model_dir, keep) as writer:
        for number in steps:
            run.fill(number)
            writer.save()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved")
    save(path)
    return path


@pytest.fixture
def model_dir(saved, tmp_path):
    """A directory with checkpoints of steps 5, 6 and 7, whose variables are all 5, 6 and 7."""
    return shutil.copytree(saved, tmp_path / "model")


def names(model_dir):
    return sorted(path.name for path in Path(model_dir).iterdir())


def steps_of(model_dir):
    return sorted(int(path.stem.split("-")[1]) for path in Path(model_dir).glob("*.index"))


def found(model_dir, caplog):
    """Returns the step that a run goes on from, after checking that its values are those of that step."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, "fcis_tf"):
        path = find_checkpoint(model_dir)
    (number,) = Run().restore(path)
    return int(number)


# Saving


@pytest.mark.parametrize("name", ["run [1]", "a*?", "b\\c"])
def test_names_of_directories_that_are_patterns_to_tensorflow(tmp_path, name):
    model_dir = tmp_path / name / "model"
    model_dir.mkdir(parents=True)
    with Run(4).writer(model_dir) as writer:
        writer.save()
    assert Run().restore(find_checkpoint(model_dir)) == {4.0}


def test_a_checkpoint_is_its_files_and_nothing_else(saved):
    files = [f"checkpoint-{step}.{part}" for step in STEPS for part in ("data-00000-of-00001", "index")]
    assert names(saved) == ["checkpoint", *files]
    assert tf.train.latest_checkpoint(str(saved)) == str(saved / "checkpoint-7")
    assert tf.train.get_checkpoint_state(str(saved)).all_model_checkpoint_paths == [
        str(saved / f"checkpoint-{step}") for step in STEPS
    ]


def test_the_state_is_that_of_the_moment_of_saving(tmp_path, monkeypatch):
    begin, write = threading.Event(), CheckpointWriter._write
    monkeypatch.setattr(CheckpointWriter, "_write", lambda *arguments: begin.wait(60) and write(*arguments))
    run = Run(3)
    with run.writer(tmp_path) as writer:
        writer.save()
        for variable in run.model.variables + run.optimizer.variables:
            variable.assign_add(tf.ones(2000))
        run.step.assign_add(1)
        writer.check()
        assert not list(tmp_path.glob("*.index"))
        begin.set()
    assert Run().restore(find_checkpoint(tmp_path)) == {3.0}
    assert run.values() == {4.0}


def test_the_last_checkpoints_are_kept(tmp_path):
    save(tmp_path, range(1, 6), keep=2)
    assert steps_of(tmp_path) == [4, 5]


def test_a_run_that_went_back_keeps_what_it_saves(model_dir, caplog):
    (model_dir / "checkpoint").write_text('model_checkpoint_path: "checkpoint-5"\n')
    assert found(model_dir, caplog) == 5 and not caplog.messages
    save(model_dir, [6], keep=2)
    assert steps_of(model_dir) == [5, 6] and found(model_dir, caplog) == 6


def test_a_checkpoint_is_written_anew(model_dir, caplog):
    save(model_dir, [7])
    assert steps_of(model_dir) == [5, 6, 7] and found(model_dir, caplog) == 7


def test_a_copy_is_a_checkpoint_of_its_own(model_dir, tmp_path, caplog):
    target = tmp_path / "target"
    target.mkdir()
    for step in (5, 6):
        copy_checkpoint(step, model_dir, target)
        assert found(target, caplog) == step and steps_of(target) == [step]
    shutil.rmtree(model_dir)
    assert found(target, caplog) == 6


def test_an_error_of_the_thread_is_raised_by_the_next_call(tmp_path, monkeypatch):
    run = Run(1)
    for call in ("save", "check", "wait", "__exit__"):
        writer = run.writer(tmp_path / "missing" / "directory")
        monkeypatch.setattr(tf.train.Checkpoint, "write", lambda *_: (_ for _ in ()).throw(OSError("broken")))
        writer.save()
        while not writer._writing.done():
            time.sleep(0.001)
        with pytest.raises(UserError, match="checkpoint-1: cannot write this checkpoint: broken$"):
            getattr(writer, call)(*[None] * 3 if call == "__exit__" else [])


# Damage


def damage(path, kind):
    content = path.read_bytes()
    path.unlink()
    if kind == "flipped":
        at = len(content) // 3
        content = content[:at] + bytes([content[at] ^ 64]) + content[at + 1 :]
    if kind != "missing":
        path.write_bytes({"empty": b"", "truncated": content[: len(content) * 2 // 3]}.get(kind, content))


KINDS = [(part, kind) for part in ("data-00000-of-00001", "index") for kind in ("empty", "truncated", "flipped")]


@pytest.mark.parametrize("part, kind", [*KINDS, ("data-00000-of-00001", "missing")])
def test_the_one_before_a_damaged_checkpoint_is_used(model_dir, caplog, part, kind):
    damage(model_dir / f"checkpoint-7.{part}", kind)
    assert found(model_dir, caplog) == 6
    (message,) = caplog.messages
    assert message.startswith(f"{model_dir / 'checkpoint-7'}: damaged: ") and "\n" not in message
    assert message.endswith("; checkpoint-6 is used instead")


def test_of_several_damaged_checkpoints_each_is_named(model_dir, caplog):
    for step in (7, 6):
        damage(model_dir / f"checkpoint-{step}.index", "truncated")
    assert found(model_dir, caplog) == 5
    assert [message.split(":")[0] for message in caplog.messages] == [
        str(model_dir / f"checkpoint-{step}") for step in (7, 6)
    ]
    damage(model_dir / "checkpoint-5.data-00000-of-00001", "empty")
    with pytest.raises(UserError, match=r"checkpoint-7: damaged: .*, as all others there are$"):
        find_checkpoint(model_dir)


def test_no_flipped_byte_and_no_cut_is_missed(model_dir):
    """Wherever a file is damaged, a checkpoint is either refused or holds the values that were saved."""
    generator = random.Random(0)
    for part in ("data-00000-of-00001", "index"):
        path = model_dir / f"checkpoint-7.{part}"
        content = path.read_bytes()
        for _ in range(60):
            at = generator.randrange(len(content))
            cut = generator.random() < 0.3
            path.write_bytes(content[:at] if cut else content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            if checkpoints.damage(str(model_dir / "checkpoint-7")) is None:
                assert Run().restore(str(model_dir / "checkpoint-7")) == {7.0}
        path.write_bytes(content)


@pytest.mark.parametrize(
    "content, reason",
    [
        (None, "No such file or directory"),
        (b"", "damaged"),
        (b"garbage", "damaged"),
        (b"\xff\xfe\x00", "damaged"),
        (b'model_checkpoint_path: "checkpoint-9"\n', "names checkpoint-9, which is missing"),
    ],
)
def test_without_the_file_that_names_the_newest_it_is_found_all_the_same(model_dir, caplog, content, reason):
    (model_dir / "checkpoint").unlink()
    if content is not None:
        (model_dir / "checkpoint").write_bytes(content)
    assert found(model_dir, caplog) == 7
    assert caplog.messages == [f"{model_dir / 'checkpoint'}: {reason}; the newest checkpoint is checkpoint-7"]


def test_the_network_of_another_run_is_an_error(model_dir):
    other = Run()
    other.model.variables.append(keras.Variable([1.0], name="c"))
    with pytest.raises(UserError, match="checkpoint-7: written by another network"):
        other.restore(find_checkpoint(model_dir))


def test_a_directory_without_checkpoints(tmp_path):
    assert find_checkpoint(tmp_path) is None and find_checkpoint(tmp_path / "missing") is None
    assert not checkpoints.has_checkpoints(tmp_path / "missing")


def test_what_a_killed_run_left_is_removed_and_nothing_else(model_dir):
    before = names(model_dir)
    for name in ("checkpoint-9.partial", "checkpoint-8_temp"):
        (model_dir / name).mkdir()
        (model_dir / name / "part").touch()
    for name in ("checkpoint-8.data-00000-of-00001", "checkpoint.partial", "metrics.json.partial"):
        (model_dir / name).touch()
    others = ["checkpoint-notes.partial", "notes.partial", "checkpoint-7.txt", "checkpoint-x.data-1"]
    for name in others:
        (model_dir / name).touch()
    remove_leftovers(model_dir)
    assert names(model_dir) == sorted(before + others)


# Full disks


FULL_DISK = """
import sys, resource
from tests.test_checkpoints import Run
from fcis_tf.errors import UserError
run = Run(8)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    with run.writer(sys.argv[1]) as writer:
        writer.save()
except UserError as error:
    print(error)
"""


@pytest.fixture
def small_disk(tmp_path):
    """A directory on a file system of 1 MB."""
    path = tmp_path / "disk"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def fill(path, free):
    """Fills a file system but for `free` blocks."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    written = 0
    with contextlib.suppress(OSError):
        while True:
            written += os.write(descriptor, bytes(4096))
    os.ftruncate(descriptor, written - free * 4096)
    os.close(descriptor)


def test_a_full_disk_is_one_line_and_costs_no_checkpoint(small_disk, caplog):
    save(small_disk, [5, 6])
    for free in (0, 4, 12):
        fill(small_disk / "ballast", free)
        before = names(small_disk)
        with pytest.raises(UserError) as error:
            save(small_disk, [7])
        assert str(error.value) == (
            f"{small_disk / 'checkpoint-7'}: cannot write this: No space left on device; free some space, then the "
            "same command goes on from the last checkpoint"
        )
        assert names(small_disk) == before and found(small_disk, caplog) == 6
        (small_disk / "ballast").unlink()
    save(small_disk, [7])
    assert found(small_disk, caplog) == 7


@pytest.mark.slow
def test_a_file_that_may_not_grow_is_one_line(model_dir, caplog):
    result = subprocess.run([sys.executable, "-c", FULL_DISK, model_dir], capture_output=True, text=True)
    assert result.stdout == (
        f"{model_dir / 'checkpoint-8'}: cannot write this: File too large; free some space, then the same command goes "
        "on from the last checkpoint\n"
    )
    assert steps_of(model_dir) == [5, 6, 7] and found(model_dir, caplog) == 7
