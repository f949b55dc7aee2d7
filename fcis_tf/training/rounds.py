"""The outer loop of training: steps, checkpoints and evaluations in turn."""

import json
import logging

import orbit

from fcis_tf.compatibility import finds_instances
from fcis_tf.json_file import write_json
from fcis_tf.training.best import METRICS_FILE, keep_if_best
from fcis_tf.training.strategy import is_chief

_logger = logging.getLogger(__name__)


class Rounds:
    """Trains to the last step, saves and evaluates when that is due.

    Args:
        trainer: a Trainer.
        evaluator: an Evaluator.
        checkpoints: a CheckpointWriter.
        actions: what Orbit calls every `training.log_every` steps.
        strategy: that of the trainer. Of several workers the chief alone writes.
        config: a Config.
        model_dir: directory of the run, a Path.
        preemption: a Preemption.
    """

    def __init__(self, trainer, evaluator, checkpoints, actions, strategy, config, model_dir, preemption):
        self._trainer = trainer
        self._evaluator = evaluator
        self._checkpoints = checkpoints
        self._training = config.training
        self._model_dir = model_dir
        self._preemption = preemption
        self._writes = is_chief(strategy)
        self._evaluates = config.training.evaluate_every is not None and finds_instances(config.model)
        self._controller = orbit.Controller(
            trainer=trainer,
            evaluator=evaluator,
            strategy=strategy,
            global_step=trainer.global_step,
            steps_per_loop=self._steps_per_loop,
            summary_dir=str(model_dir / "train") if self._writes else None,
            eval_summary_dir=str(model_dir / "eval") if self._writes else None,
            train_actions=actions,
        )

    def run(self):
        """Runs what is left of the training, from the trainer's step on.

        Raises:
            UserError: the loss is no longer finite, or a checkpoint or the metrics cannot be written.
            Preempted, KeyboardInterrupt: a signal came; everything is saved.
        """
        evaluated = _evaluated_step(self._model_dir)
        while True:
            step = self._step()
            is_last = step == self._training.steps
            is_due = is_last or _is_multiple(step, self._training.evaluate_every) and step != evaluated
            if is_due and self._evaluates:
                self._evaluate()
            if is_last:
                return
            self._train()

    def _step(self):
        return int(self._trainer.global_step.numpy())

    def _evaluate(self):
        self._controller.evaluate()
        if self._writes:
            step = self._step()
            self._checkpoints.wait()
            metrics = {"step": step, **self._evaluator.metrics.as_json()}
            keep_if_best(self._model_dir, step, metrics)
            # Last of all, since it says that this evaluation is done.
            write_json(metrics, self._model_dir / METRICS_FILE)

    def _train(self):
        """Trains until something else is due, or a signal came, and saves."""
        with self._preemption.deferred():
            _train_until(_next_stop(self._step(), self._training), self._controller)
            if self._writes:
                self._checkpoints.save()
            if self._trainer.stopped:
                self._checkpoints.wait()
                _logger.info("saved step %d; the same command goes on from there", self._step())
                raise self._preemption.error()

    def _steps_per_loop(self, step):
        """Says how many steps to make, as Orbit asks before every round of them."""
        self._checkpoints.check()
        if self._trainer.stopped:
            raise _Stopped
        return self._training.log_every - step % self._training.log_every


class _Stopped(Exception):
    """Ends Orbit's loop, which would go on after a round that its trainer cut short."""


def _train_until(step, controller):
    """Trains until a step, or until the trainer stops before."""
    absl = logging.getLogger("absl")
    absl.addFilter(_is_not_of_short_round)
    try:
        controller.train(step, checkpoint_at_completion=False)
    except _Stopped:
        pass
    finally:
        absl.removeFilter(_is_not_of_short_round)


def _is_not_of_short_round(record):
    return "did not update `global_step`" not in record.getMessage()


def _next_stop(step, training):
    """Returns the step up to which to train before something else is to be done."""
    every = [every for every in (training.checkpoint_every, training.evaluate_every) if every]
    return min(training.steps, *(step - step % n + n for n in every))


def _is_multiple(step, every):
    return every and step and step % every == 0


def _evaluated_step(model_dir):
    """Returns the step of the run's last evaluation that was completed, None if there is none."""
    try:
        return json.loads((model_dir / METRICS_FILE).read_text())["step"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
