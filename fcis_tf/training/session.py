"""A training run from start to end: data, network, optimiser, checkpoints, curves, evaluation."""

import contextlib
import logging
from pathlib import Path

import keras
import orbit
import tensorflow as tf
from tqdm import tqdm

from fcis_tf.compatibility import check_same_classes
from fcis_tf.convert.initialization import initialize
from fcis_tf.data import load_dataset, training_batches
from fcis_tf.data.service import batches_of_service
from fcis_tf.errors import UserError
from fcis_tf.inference import Detector, Predictor
from fcis_tf.model_directory import (
    build_model,
    check_before_training,
    checkpoint_manager,
    describe_run,
    restore,
)
from fcis_tf.training.evaluator import Evaluator
from fcis_tf.training.optimizer import Optimizer
from fcis_tf.training.pictures import PictureWriter
from fcis_tf.training.skipped_images import SkippedImages
from fcis_tf.training.strategy import make_strategy
from fcis_tf.training.trainer import Trainer

_logger = logging.getLogger(__name__)


def train(config, model_dir, resume=True, progress=True, data_service=None):
    """Trains a network and evaluates it, continuing an interrupted run where it stopped.

    A run that is refused leaves the model directory as it was.

    Args:
        config: a Config.
        model_dir: directory for checkpoints, TensorBoard's curves and metrics.json.
        resume: whether to continue from the newest checkpoint in `model_dir`, if there is one.
        progress: whether to show progress bars.
        data_service: address of a tf.data service that makes the batches, see `batches_of_service`; None to make them
            here.

    Returns:
        CocoMetrics of the evaluation after the last step.

    Raises:
        UserError: the data or the model directory does not fit, or the loss is no longer finite.
    """
    model_dir = Path(model_dir)
    training = config.training
    strategy = make_strategy(training.strategy)
    source = load_dataset(config.data, "train")
    evaluation_source = load_dataset(config.data, "eval")
    check_same_classes(evaluation_source.class_names, "data.eval", source.class_names, "data.train")
    check_before_training(model_dir, config, source, resume)

    keras.utils.set_random_seed(training.seed)
    with strategy.scope():
        model = build_model(config, len(source.class_names))
        optimizer = Optimizer(training, model.trainable_variables, config.model.precision)
        step = tf.Variable(0, dtype=tf.int64)
    checkpoints = checkpoint_manager(model, optimizer, step, model_dir, training)
    if checkpoints.latest_checkpoint:
        restore(checkpoints.latest_checkpoint, model, step, optimizer)
    else:
        for line in initialize(model, config, source.class_names):
            _logger.info("%s", line)
    first_step = int(step.numpy())
    if first_step > training.steps:
        raise UserError(
            f"training.steps is {training.steps}, but the network in {model_dir} was trained for {first_step} steps "
            "already; set it to that or more, or name another --model-dir"
        )
    batches = _distributed_batches(strategy, source, config, first_step, data_service)
    skipped_images = SkippedImages(source)

    describe_run(model_dir, config, source.class_names, source.category_ids)
    steps = f"from step {first_step} to {training.steps}"
    _logger.info("training in %s, %s; watch it with: tensorboard --logdir %s", model_dir, steps, model_dir)
    evaluator = Evaluator(Predictor(model, config), evaluation_source, config, model_dir)
    pictures = PictureWriter(model, Detector(model, config.inference), evaluation_source, config, model_dir, step)
    with (
        tqdm(total=training.steps, initial=first_step, desc="train", unit=" steps", disable=not progress) as bar,
        _summary_at_end(skipped_images),
        # Orbit prints a running account of its own.
        open(model_dir / "train.log", "a", buffering=1) as log,
        contextlib.redirect_stdout(log),
    ):
        with strategy.scope():
            trainer = Trainer(model, optimizer, batches, training, step, bar, skipped_images)
        controller = orbit.Controller(
            trainer=trainer,
            evaluator=evaluator,
            strategy=strategy,
            global_step=step,
            steps_per_loop=training.log_every,
            checkpoint_manager=checkpoints,
            summary_dir=str(model_dir / "train"),
            eval_summary_dir=str(model_dir / "eval"),
            train_actions=[pictures],
        )
        # Orbit's own train_and_evaluate would save the last steps only after evaluating them.
        every = training.evaluate_every or training.steps
        while int(step.numpy()) < training.steps:
            controller.train(min(int(step.numpy()) // every * every + every, training.steps))
            controller.evaluate()
        if evaluator.metrics is None:
            # The run had been trained to its end before.
            controller.evaluate()
    return evaluator.metrics


def _distributed_batches(strategy, source, config, first_step, data_service):
    """Returns the batches of this worker's replicas, for each so many a step as it accumulates."""
    training = config.training

    def make_batches(context):
        workers = context.num_input_pipelines
        batches = training_batches(
            source,
            config.data,
            training.images_per_step,
            training.seed,
            first_step,
            worker=(context.input_pipeline_id, workers),
            parts=training.accumulation_steps * context.num_replicas_in_sync // workers,
        )
        if data_service:
            batches = batches_of_service(batches, data_service)
        # Else workers would ask each other at every step whether there is another.
        return batches.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))

    return strategy.distribute_datasets_from_function(make_batches)


@contextlib.contextmanager
def _summary_at_end(skipped_images):
    """Logs which images training had to do without, also when it is interrupted."""
    try:
        yield
    finally:
        if skipped_images.summary():
            _logger.warning("%s", skipped_images.summary())
