"""Checkpoints of a training run: written in the background, whole or not at all; found again, damaged ones left out.

Checkpoint N of a directory is the files `checkpoint-N.index` and `checkpoint-N.data-*`, as tf.train.Checkpoint writes
them. They are written into the directory `checkpoint-N.partial` and then moved, the index last: where it is, all is.
TensorFlow's text file `checkpoint` names the checkpoint to go on from.
"""

import contextlib
import logging
import os
import re
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tensorflow as tf

from fcis_tf.disk_errors import disk_errors
from fcis_tf.errors import UserError
from fcis_tf.whole_file import write_text

_logger = logging.getLogger(__name__)

_STATE_FILE = "checkpoint"


class CheckpointWriter:
    """Saves the state of a training run, in a thread of its own: training goes on meanwhile.

    The state is that of the moment when `save` is called. A context manager, which waits for the thread at its end.

    Args:
        model: FCIS.
        optimizer: keras.optimizers.Optimizer.
        step: int64 tf.Variable, the global step; it numbers the checkpoints.
        model_dir: the directory, which has to exist.
        keep: how many checkpoints are kept.
    """

    def __init__(self, model, optimizer, step, model_dir, keep):
        self._state = {"model": _by_path(model), "optimizer": _by_path(optimizer), "global_step": step}
        self._model_dir = Path(model_dir)
        self._keep = keep
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing = None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self._thread.shutdown()
        if error is None:
            self.wait()

    def save(self):
        """Begins to save the state as it is now, when the checkpoint before is written.

        Raises:
            UserError: the checkpoint before could not be written, such as where the disk is full; `check` and `wait`
                raise it too. Those that were there are intact.
        """
        self.wait()
        with tf.device("CPU"):
            # Not copies: TensorFlow gives a variable new memory if it changes while its value is in use.
            values = tf.nest.map_structure(tf.identity, self._state)
        self._writing = self._thread.submit(self._write, values)

    def check(self):
        """Raises the error of a checkpoint that could not be written, if it is known already."""
        if self._writing and self._writing.done():
            self.wait()

    def wait(self):
        """Returns when everything is written."""
        writing, self._writing = self._writing, None
        if writing:
            writing.result()

    def _write(self, values):
        step = int(values["global_step"])
        with _partial_directory(self._model_dir, step) as partial:
            with tf.device("CPU"):
                checkpoint = tf.train.Checkpoint(**tf.nest.map_structure(tf.Variable, values))
                checkpoint.write(str(partial / _name(step)))
            _publish(partial, self._model_dir, step, self._keep)


def has_checkpoints(model_dir):
    """Returns whether there are checkpoints in a directory, damaged or not; the directory may be missing."""
    return bool(_steps(model_dir))


def find_checkpoint(model_dir):
    """Looks for the checkpoint to go on from: the newest that is whole, reading all of it.

    TensorFlow's file `checkpoint` may name an older one, which is then preferred. A warning names every damaged file
    that was found on the way, and the reason.

    Args:
        model_dir: a directory of checkpoints.

    Returns:
        The checkpoint's path, without the suffix of its files; None if there are no checkpoints.

    Raises:
        UserError: all checkpoints are damaged.
    """
    model_dir = Path(model_dir)
    steps = _steps(model_dir)
    if not steps:
        return None
    damaged = []
    for step in reversed(_oldest_first(steps, _named_step(model_dir, steps))):
        path = str(model_dir / _name(step))
        reason = damage(path)
        if reason is None:
            for line in damaged:
                _logger.warning("%s; %s is used instead", line, _name(step))
            return path
        damaged.append(f"{path}: damaged: {reason}")
    others = ", as all others there are" if len(damaged) > 1 else ", and there is no other"
    raise UserError(f"{damaged[0]}{others}")


def restore(path, model, step, optimizer=None):
    """Restores a network, and where its training goes on its optimiser too, from a checkpoint.

    Variables that were not trained before, such as those of a stage that is no longer frozen, begin without momentum.

    Args:
        path: of `find_checkpoint`.
        model: FCIS.
        step: int64 tf.Variable, the global step.
        optimizer: keras.optimizers.Optimizer, or None.

    Raises:
        UserError: the checkpoint was written by another network.
    """
    try:
        with _without_wildcards(path) as readable:
            network = tf.train.Checkpoint(model=_by_path(model), global_step=step)
            network.read(readable).expect_partial().assert_existing_objects_matched()
            if optimizer is not None:
                tf.train.Checkpoint(optimizer=_by_path(optimizer)).read(readable).expect_partial()
    except (tf.errors.OpError, ValueError, IndexError, AssertionError) as error:
        raise UserError(f"{path}: written by another network: {_first_line(error)}") from None


def copy_checkpoint(step, model_dir, target_dir):
    """Makes a checkpoint of a directory the only one of another directory.

    At every moment the other directory holds a whole checkpoint, if it held one before. No memory is taken where the
    file system has hard links.

    Args:
        step: which checkpoint.
        model_dir: where it is.
        target_dir: where it goes; an existing directory.

    Raises:
        UserError: it cannot be written.
    """
    with _partial_directory(target_dir, step) as partial:
        partial.mkdir()
        for path in _files(model_dir, step):
            try:
                os.link(path, partial / path.name)
            except OSError:
                shutil.copyfile(path, partial / path.name)
        _publish(partial, target_dir, step, keep=1)


def remove_leftovers(model_dir):
    """Removes what a training run that was killed while it wrote left in its directory; nobody may be writing there."""
    model_dir = Path(model_dir)
    for path in model_dir.glob("checkpoint-*"):
        if re.fullmatch(r"checkpoint-\d+(\.partial|_temp)", path.name):
            shutil.rmtree(path, ignore_errors=True)
    for name in (_STATE_FILE, "config.yaml", "classes.json", "metrics.json"):
        (model_dir / f"{name}.partial").unlink(missing_ok=True)
    steps = _steps(model_dir)
    for path in model_dir.glob("checkpoint-*.data-*"):
        found = re.match(r"checkpoint-(\d+)\.data-", path.name)
        if found and int(found[1]) not in steps:
            path.unlink()


def _name(step):
    return f"checkpoint-{step}"


def _steps(model_dir):
    """Returns the steps of the checkpoints in a directory."""
    found = (re.fullmatch(r"checkpoint-(\d+)\.index", path.name) for path in Path(model_dir).glob("checkpoint-*.index"))
    return [int(match[1]) for match in found if match]


def _files(model_dir, step):
    """Returns the files of a checkpoint, its index last."""
    files = Path(model_dir).glob(f"{_name(step)}.*-of-*")
    return [*sorted(files), Path(model_dir) / f"{_name(step)}.index"]


def _oldest_first(steps, current):
    """Sorts steps. Those behind the current one were left behind by a run that went back: they count as the oldest."""
    return sorted(steps, key=lambda step: (step <= current, step))


def _named_step(model_dir, steps):
    """Returns the step that TensorFlow's file `checkpoint` names, the last of `steps` if it names none of them."""
    path = model_dir / _STATE_FILE
    newest = max(steps)
    try:
        named = re.search(r'^model_checkpoint_path: "(?:.*/)?checkpoint-(\d+)"$', path.read_text(), re.MULTILINE)
        if named and int(named[1]) in steps:
            return int(named[1])
        reason = f"names {_name(named[1])}, which is missing" if named else "damaged"
    except OSError as error:
        reason = error.strerror
    except UnicodeDecodeError:
        reason = "damaged"
    _logger.warning("%s: %s; the newest checkpoint is %s", path, reason, _name(newest))
    return newest


def damage(path):
    """Returns why a checkpoint cannot be read, None if it can. TensorFlow compares all that it reads with checksums."""
    try:
        with _without_wildcards(path) as readable:
            reader = tf.train.load_checkpoint(readable)
            for name in reader.get_variable_to_shape_map():
                reader.get_tensor(name)
    except (tf.errors.OpError, ValueError, IndexError, MemoryError) as error:
        return _first_line(error)
    return None


@contextlib.contextmanager
def _without_wildcards(path):
    """Gives a path to read a checkpoint by: in names of directories TensorFlow takes * ? [ and \\ for wildcards."""
    path = Path(path)
    if not re.search(r"[*?\[\\]", str(path.parent)):
        yield str(path)
        return
    with tempfile.TemporaryDirectory() as directory:
        link = Path(directory) / "checkpoints"
        link.symlink_to(path.parent.resolve())
        yield str(link / path.name)


@contextlib.contextmanager
def _partial_directory(model_dir, step):
    """Gives the path of a directory, missing at first, that is removed at the end; disk errors become UserErrors."""
    model_dir = Path(model_dir)
    partial = model_dir / f"{_name(step)}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with disk_errors(model_dir / _name(step)):
            yield partial
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"{model_dir / _name(step)}: cannot write this checkpoint: {_first_line(error)}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _publish(partial, model_dir, step, keep):
    """Moves a checkpoint's files into a directory, names it as the newest, and removes all but `keep` checkpoints."""
    files = _files(partial, step)
    for path in files:
        _write_through(path)
    _delete(model_dir, step)
    for path in files:
        os.replace(path, Path(model_dir) / path.name)
    _write_through(model_dir)
    steps = _oldest_first(_steps(model_dir), step)
    state = [f'model_checkpoint_path: "{_name(step)}"']
    state += [f'all_model_checkpoint_paths: "{_name(kept)}"' for kept in steps[-keep:]]
    write_text("\n".join(state) + "\n", Path(model_dir) / _STATE_FILE)
    for old in steps[:-keep]:
        _delete(model_dir, old)


def _delete(model_dir, step):
    for path in reversed(_files(model_dir, step)):
        path.unlink(missing_ok=True)


def _write_through(path):
    """Has the operating system write a file or directory to the disk, lest a machine that fails loses it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _by_path(owner):
    """Returns the variables of a model or optimiser by path: TensorFlow would not find those of layers in lists."""
    return {variable.path: variable.value for variable in owner.variables}


def _first_line(error):
    return (str(error).splitlines() or [type(error).__name__])[0]
