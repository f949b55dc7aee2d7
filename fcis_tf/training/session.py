"""A training run from start to end: data, network, optimiser, checkpoints, curves, evaluation."""

import contextlib
import logging
import os
import zlib
from pathlib import Path

import keras
import tensorflow as tf
from tqdm import tqdm

from fcis_tf.checkpoints import CheckpointWriter, find_checkpoint, remove_leftovers, restore
from fcis_tf.compatibility import check_same_classes, finds_instances
from fcis_tf.config import config_as_yaml
from fcis_tf.convert.initialization import initialize
from fcis_tf.data import load_dataset, training_batches
from fcis_tf.data.service import batches_of_service
from fcis_tf.disk_errors import disk_errors
from fcis_tf.errors import UserError
from fcis_tf.inference import Detector, Predictor
from fcis_tf.model_directory import build_model, check_before_training, describe_run
from fcis_tf.preemption import Preemption
from fcis_tf.training.evaluator import Evaluator
from fcis_tf.training.memory_estimate import log_memory_estimate
from fcis_tf.training.optimizer import Optimizer
from fcis_tf.training.pictures import PictureWriter
from fcis_tf.training.profile import Profile
from fcis_tf.training.rounds import Rounds
from fcis_tf.training.skipped_images import SkippedImages
from fcis_tf.training.strategy import is_chief, largest_and_smallest, make_strategy, noticing_lost_workers
from fcis_tf.training.trainer import Trainer

_logger = logging.getLogger(__name__)


def train(config, model_dir, resume=True, progress=True, data_service=None, profile=None):
    """Trains a network and evaluates it, continuing an interrupted run where it stopped.

    A run that is refused leaves the model directory as it was. One that is killed goes on from its last checkpoint;
    SIGTERM and Ctrl-C save one first, see `Preemption`. Variables, step and seed are all that the rest of a run
    depends on: with `training.deterministic` a run that was interrupted ends with the very weights that it would have
    had.

    Of several processes that train together, the chief alone writes; all of them read the model directory.

    Args:
        config: a Config.
        model_dir: directory for checkpoints, TensorBoard's curves and metrics.json; in its folder `best` is the best
            network so far, by the masks' AP of the evaluations.
        resume: whether to continue from the newest checkpoint in `model_dir`, if there is one.
        progress: whether to show progress bars.
        data_service: address of a tf.data service that makes the batches, see `batches_of_service`; None to make them
            here.
        profile: (first, end), the steps to record for TensorBoard, see `Profile`; None for none.

    Returns:
        CocoMetrics of the evaluation after the last step; None if `training.evaluate_every` says never, or if the
        network finds no instances by itself.

    Raises:
        UserError: the data or the model directory does not fit, the loss is no longer finite, or the disk is full.
        Preempted: SIGTERM came; everything is saved.
        KeyboardInterrupt: Ctrl-C, likewise; of a second one, what was done since the last checkpoint is lost.
    """
    model_dir = Path(model_dir)
    strategy = make_strategy(config.training.strategy)
    with (
        Preemption() as preemption,
        noticing_lost_workers(),
        Profile(profile, model_dir / "train") as steps_to_profile,
    ):
        return _train(config, model_dir, resume, progress, data_service, strategy, preemption, steps_to_profile)


def _train(config, model_dir, resume, progress, data_service, strategy, preemption, profile):
    training = config.training
    _check_workers_agree(strategy, config, model_dir)
    images_at_once = _images_at_once(strategy, training)
    writes = is_chief(strategy)
    source, evaluation_source = _load_data_sets(config)
    check_before_training(model_dir, config, source, resume)

    if writes and config.model.head != "instance_fcn":
        log_memory_estimate(config, len(source.class_names), images_at_once, training.accumulation_steps)
    model, optimizer, step = _make_variables(config, len(source.class_names), strategy)
    first_step = _restore_or_initialize(model, optimizer, step, model_dir, config, source)
    _check_same_step(strategy, first_step, model_dir)
    profile.check(first_step, training.steps)
    batches = _distributed_batches(strategy, source, config, first_step, data_service)

    if writes:
        describe_run(model_dir, config, source.class_names, source.category_ids)
        remove_leftovers(model_dir)
    _log_start(config, model_dir, first_step, strategy, images_at_once)
    skipped_images = SkippedImages(source)
    with (
        disk_errors(model_dir),
        tqdm(total=training.steps, initial=first_step, desc="train", unit=" steps", disable=not progress) as bar,
        _summary_at_end(skipped_images),
        CheckpointWriter(model, optimizer, step, model_dir, training.keep_checkpoints) as checkpoints,
        # Orbit prints a running account of its own.
        open(model_dir / "train.log" if writes else os.devnull, "a", buffering=1) as log,
        contextlib.redirect_stdout(log),
    ):
        with strategy.scope():
            trainer = Trainer(
                model, optimizer, batches, training, step, bar, skipped_images, preemption.requested, profile
            )
        evaluator = Evaluator(Predictor(model, config), evaluation_source, config)
        actions = []
        if writes and finds_instances(config.model):
            detector = Detector(model, config.inference)
            actions.append(PictureWriter(model, detector, evaluation_source, config, model_dir, step))
        Rounds(trainer, evaluator, checkpoints, actions, strategy, config, model_dir, preemption).run()
        return evaluator.metrics


def _load_data_sets(config):
    """Returns the data sets of training and evaluation, of the same classes."""
    source = load_dataset(config.data, "train")
    evaluation_source = load_dataset(config.data, "eval")
    check_same_classes(evaluation_source.class_names, "data.eval", source.class_names, "data.train")
    return source, evaluation_source


def _make_variables(config, num_classes, strategy):
    """Returns the network at random, its optimiser and the step, on the devices of the strategy."""
    keras.utils.set_random_seed(config.training.seed)
    if config.training.deterministic:
        tf.config.experimental.enable_op_determinism()
    with strategy.scope():
        model = build_model(config, num_classes)
        optimizer = Optimizer(config.training, model.trainable_variables, config.model.precision)
        return model, optimizer, tf.Variable(0, dtype=tf.int64)


def _log_start(config, model_dir, first_step, strategy, images_at_once):
    steps = f"from step {first_step} to {config.training.steps}"
    _logger.info("training in %s, %s; watch it with: tensorboard --logdir %s", model_dir, steps, model_dir)
    if config.training.evaluate_every is not None and not finds_instances(config.model):
        _logger.info("without evaluation: R-FCN and InstanceFCN find instances together, evaluate.py takes both")
    if strategy.num_replicas_in_sync > 1:
        _logger.info("devices: %d, images at once on each: %d", strategy.num_replicas_in_sync, images_at_once)


def _check_workers_agree(strategy, config, model_dir):
    """Checks that all workers were started alike; they would wait for each other, or compute nonsense, if not."""
    for name, value in (("--config and --override", config_as_yaml(config)), ("--model-dir", str(model_dir.resolve()))):
        largest, smallest = largest_and_smallest(strategy, zlib.crc32(value.encode()))
        if largest != smallest:
            raise UserError(f"{name}: expected the same for all workers of TF_CONFIG, found different ones")


def _check_same_step(strategy, first_step, model_dir):
    """Checks that all workers found the same checkpoint."""
    largest, smallest = largest_and_smallest(strategy, first_step)
    if largest != smallest:
        raise UserError(
            f"--model-dir {model_dir}: holds step {smallest} for one worker and step {largest} for another; it has to "
            "be a directory that all of them share"
        )


def _images_at_once(strategy, training):
    """Returns how many images each device computes in one go."""
    devices, passes = strategy.num_replicas_in_sync, training.accumulation_steps
    if training.images_per_step % (devices * passes):
        raise UserError(
            f"training.images_per_step: expected a multiple of {devices * passes} (devices: {devices}, "
            f"training.accumulation_steps: {passes}), found {training.images_per_step}"
        )
    return training.images_per_step // (devices * passes)


def _restore_or_initialize(model, optimizer, step, model_dir, config, source):
    """Gives the variables the values that training begins or goes on with; returns the step."""
    path = find_checkpoint(model_dir)
    if path is None:
        for line in initialize(model, config, source.class_names):
            _logger.info("%s", line)
        return 0
    restore(path, model, step, optimizer)
    first_step = int(step.numpy())
    if first_step > config.training.steps:
        raise UserError(
            f"training.steps is {config.training.steps}, but the network in {model_dir} was trained for {first_step} "
            "steps already; set it to that or more, or name another --model-dir"
        )
    return first_step


def _distributed_batches(strategy, source, config, first_step, data_service):
    """Returns the batches of this worker's replicas, for each so many a step as it accumulates."""
    training = config.training
    if data_service and training.deterministic:
        raise UserError("training.deterministic: the batches of a tf.data service come in no fixed order; use only one")

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
