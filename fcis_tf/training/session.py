"""A training run from start to end: data, network, optimiser, checkpoints, curves, evaluation."""

import contextlib
from pathlib import Path

import keras
import orbit
import tensorflow as tf
from tqdm import tqdm

from fcis_tf.data import load_dataset, training_batches
from fcis_tf.inference import Detector
from fcis_tf.model_directory import build_model, checkpoint_manager, open_for_training, restore
from fcis_tf.training.evaluator import Evaluator
from fcis_tf.training.optimizer import Optimizer
from fcis_tf.training.pictures import PictureWriter
from fcis_tf.training.trainer import Trainer


def train(config, model_dir, resume=True, progress=True):
    """Trains a network and evaluates it, continuing an interrupted run where it stopped.

    Args:
        config: a Config.
        model_dir: directory for checkpoints, TensorBoard's curves and metrics.json.
        resume: whether to continue from the newest checkpoint in `model_dir`, if there is one.
        progress: whether to show progress bars.

    Returns:
        CocoMetrics of the evaluation after the last step.

    Raises:
        UserError: the data or the model directory does not fit, or the loss is no longer finite.
    """
    model_dir = Path(model_dir)
    training = config.training
    source = load_dataset(config.data.train, config.data.mask_size, key="data.train")
    evaluation_source = load_dataset(config.data.eval, config.data.mask_size, key="data.eval")

    keras.utils.set_random_seed(training.seed)
    model = build_model(config, len(source.class_names))
    optimizer = Optimizer(training, model.trainable_variables)
    # Last of the checks: a run that is refused must leave the directory as it was.
    open_for_training(model_dir, config, source, resume)
    step = tf.Variable(0, dtype=tf.int64)
    checkpoints = checkpoint_manager(model, optimizer.sgd, step, model_dir, training)
    if checkpoints.latest_checkpoint:
        restore(checkpoints.checkpoint, checkpoints.latest_checkpoint)

    first_step = int(step.numpy())
    batches = training_batches(source, config.data, training.images_per_step, training.seed, first_step)
    detector = Detector(model, config.inference)
    evaluator = Evaluator(detector, evaluation_source, config, model_dir)
    pictures = PictureWriter(model, detector, evaluation_source, config, model_dir, step)
    with (
        tqdm(total=training.steps, initial=first_step, desc="train", unit=" steps", disable=not progress) as bar,
        # Orbit prints a running account of its own.
        open(model_dir / "train.log", "a", buffering=1) as log,
        contextlib.redirect_stdout(log),
    ):
        controller = orbit.Controller(
            trainer=Trainer(model, optimizer, batches, training, step, bar),
            evaluator=evaluator,
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
