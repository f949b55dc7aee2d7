"""Evaluation beside training: every checkpoint of a run, as it appears."""

import contextlib
import logging
import shutil
from pathlib import Path

import orbit
import tensorflow as tf

from fcis_tf.checkpoints import copy_checkpoint, damage, restore
from fcis_tf.compatibility import check_finds_instances, check_same_classes, check_same_model
from fcis_tf.disk_errors import disk_errors
from fcis_tf.errors import UserError
from fcis_tf.inference import Predictor
from fcis_tf.json_file import write_json
from fcis_tf.model_directory import build_model, read_classes, read_config
from fcis_tf.training.best import METRICS_FILE, keep_if_best
from fcis_tf.training.evaluator import Evaluator

_logger = logging.getLogger(__name__)

WATCHED_DIR = "watched"


def watch(model_dir, config, source, timeout=None):
    """Evaluates the checkpoints of a training run that writes them meanwhile, until it has come to its last step.

    It waits for the first one, also before the directory is there. While a checkpoint is evaluated, training may write
    several: the newest is next. One that cannot be read, since it is damaged or training has removed it, is left out
    with a warning. What is written is what training's own evaluations write: the curves in `eval`, metrics.json and
    the best network.

    Args:
        model_dir: a directory that train.py writes, or will write.
        config: the Config to evaluate with.
        source: the evaluation set, from `load_dataset`.
        timeout: for how many seconds to wait for a new checkpoint; None to wait on.

    Yields:
        (step, CocoMetrics) after each evaluation.

    Raises:
        UserError: the network or its classes are others than those of `config` and `source`, nothing can be written,
            or there was no checkpoint that could be evaluated.
    """
    model_dir, evaluation = Path(model_dir), None
    _logger.info("waiting for checkpoints in %s", model_dir)
    for newest in tf.train.checkpoints_iterator(str(model_dir), timeout=timeout):
        trained_config = read_config(model_dir)
        check_same_model(config, trained_config, model_dir)
        check_finds_instances(trained_config, model_dir)
        with disk_errors(model_dir), _held(Path(newest)) as path:
            if path is None:
                continue
            evaluation = evaluation or _Evaluation(model_dir, config, source)
            step, metrics = evaluation.run(path)
        yield step, metrics
        # A run that was resumed meanwhile may be a longer one.
        if step >= read_config(model_dir).training.steps:
            return
    _logger.info("no new checkpoint in %s for %g seconds", model_dir, timeout)
    if evaluation is None:
        raise UserError(f"--model-dir {model_dir}: no checkpoint that can be evaluated for {timeout:g} seconds")


class _Evaluation:
    """Loads one checkpoint after the other into the same network, so that nothing is built or compiled again."""

    def __init__(self, model_dir, config, source):
        names, _ = read_classes(model_dir)
        check_same_classes(source.class_names, "data.eval", names, f"the network in {model_dir}")
        self._model_dir = model_dir
        self._model = build_model(config, len(names))
        self._step = tf.Variable(0, dtype=tf.int64)
        self._evaluator = Evaluator(Predictor(self._model, config), source, config)
        directory = str(model_dir / "eval")
        self._curves = orbit.utils.SummaryManager(directory, tf.summary.scalar, global_step=self._step)

    def run(self, path):
        """Evaluates the checkpoint of a path and writes everything; returns (step, CocoMetrics)."""
        restore(str(path), self._model, self._step)
        step = int(self._step.numpy())
        self._curves.write_summaries(self._evaluator.evaluate(-1))
        self._curves.flush()
        metrics = {"step": step, **self._evaluator.metrics.as_json()}
        keep_if_best(self._model_dir, step, metrics, checkpoint_dir=path.parent)
        write_json(metrics, self._model_dir / METRICS_FILE)
        return step, self._evaluator.metrics


@contextlib.contextmanager
def _held(path):
    """Gives the path of a checkpoint that stays when training removes its own; None if that cannot be read."""
    held_dir = path.parent / WATCHED_DIR
    try:
        held_dir.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"{held_dir}: cannot make this directory: {error.strerror}") from None
    try:
        yield _copy(path, held_dir)
    finally:
        shutil.rmtree(held_dir, ignore_errors=True)


def _copy(path, held_dir):
    try:
        copy_checkpoint(int(path.name.removeprefix("checkpoint-")), path.parent, held_dir)
        reason = damage(str(held_dir / path.name))
    except UserError as error:
        reason = str(error) if path.with_name(f"{path.name}.index").exists() else "training has removed it"
    if reason is None:
        return held_dir / path.name
    _logger.warning("skipped %s: %s", path, reason)
    return None
