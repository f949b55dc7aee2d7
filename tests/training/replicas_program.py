"""How far the update of a step on eight replicas is from that on one device: prints JSON.

A program of its own, because a process can split its processor into logical devices only before it has used it.
"""

import json
from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from fcis_tf.model_directory import build_model
from fcis_tf.models import fcis
from fcis_tf.models.fused_batch_normalization import FusedBatchNormalization
from fcis_tf.training.optimizer import Optimizer
from fcis_tf.training.strategy import make_strategy
from fcis_tf.training.trainer import Trainer
from tests.tiny_config import tiny_config

IMAGES, CLASSES = 8, 3
HEIGHT, WIDTH = 80, 112
TRAINING = {"images_per_step": IMAGES, "learning_rate": {"values": [0.1], "boundaries": [], "multipliers": {}}}


class Trunk(keras.Layer):
    """A trunk that is smooth, so that rounding is not amplified where an activation changes its sign."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.to_conv4 = keras.layers.Conv2D(16, 16, strides=16, padding="same", activation="tanh")
        self.norm = FusedBatchNormalization()
        self.to_conv5 = keras.layers.Conv2D(16, 3, padding="same", activation="tanh")

    def call(self, images, training=False):
        conv4 = self.norm(self.to_conv4(images / 60.0), training=training)
        return conv4, self.to_conv5(conv4)


class Run:
    """A network, the same in every Run, and its optimiser."""

    def __init__(self, strategy, **training):
        self._strategy = strategy
        config = tiny_config(training=TRAINING | training)
        self._config = config.training
        keras.utils.set_random_seed(0)
        with strategy.scope():
            self._model = build_model(config, CLASSES)
            self._optimizer = Optimizer(self._config, self._model.trainable_variables)
            self._step = tf.Variable(0, dtype=tf.int64)
        self._variables = [*self._model.variables, *self._optimizer.variables]
        self._first = [variable.numpy() for variable in self._variables]

    def update(self, padded_alike):
        """Returns what a step from the first weights changes, by variable, and what the trainer says of it."""
        for variable, value in zip(self._variables, self._first, strict=True):
            variable.assign(value)
        batches = IMAGES // (self._config.accumulation_steps * self._strategy.num_replicas_in_sync)
        with self._strategy.scope():
            batches = self._strategy.distribute_datasets_from_function(lambda _: make_batches(batches, padded_alike))
            nothing = SimpleNamespace(report=lambda indices: None)
            trainer = Trainer(
                self._model, self._optimizer, batches, self._config, self._step, tqdm(disable=True), nothing
            )
        said = trainer.train(1)
        for variable in self._variables:
            copies = [copy.numpy() for copy in self._strategy.experimental_local_results(variable.value)]
            assert all((copy == copies[0]).all() for copy in copies), variable.path
        changes = zip(self._variables, self._first, strict=True)
        return {variable.path: variable.numpy() - first for variable, first in changes}, said


def make_batches(images_per_batch, padded_alike):
    """Returns an endless data set of the eight images, all padded to one size, or each batch as it needs."""
    examples = [make_example(i) for i in range(IMAGES)]
    spec = {name: tf.TensorSpec(np.shape(value), value.dtype) for name, value in examples[0].items()}
    spec["images"] = tf.TensorSpec([None, None, 3])
    shapes = {name: value.shape for name, value in spec.items()}
    if padded_alike:
        shapes["images"] = [HEIGHT, WIDTH, 3]
    data = tf.data.Dataset.from_generator(lambda: iter(examples), output_signature=spec).repeat()
    return data.padded_batch(images_per_batch, shapes, drop_remainder=True)


def make_example(i):
    """Returns image i: noise with two instances, of a size of its own."""
    rng = np.random.default_rng(i)
    size = np.int32([HEIGHT - 4 * (i % 5), WIDTH - 6 * (i % 4)])
    return {
        "images": rng.normal(0, 60, (*size, 3)).astype(np.float32),
        "image_sizes": size,
        "boxes": np.float32([[3, 5, 30, 40], [20, 30, 60, 88]]) + rng.uniform(-2, 2, (2, 4)).astype(np.float32),
        "classes": rng.integers(1, CLASSES + 1, 2).astype(np.int32),
        "is_crowd": np.zeros(2, bool),
        "masks": (rng.uniform(size=(2, 28, 28)) < 0.5).astype(np.uint8),
        "skipped": np.int64(-1),
        "positions": np.int64(i),
    }


def compare(one, other):
    """Returns by how much two updates differ: for the variable where it is most, relative to its largest change."""
    (changes, said), (others, also_said) = one, other
    errors = {path: np.abs(changes[path] - others[path]).max() / np.abs(changes[path]).max() for path in changes}
    worst = max(errors, key=errors.get)
    losses = max(abs(said[name] - also_said[name]) for name in said if name != "images_per_second")
    return {"variables": len(errors), "worst": worst, "error": float(errors[worst]), "losses": float(losses)}


def main():
    fcis.AtrousResNet = lambda *arguments, **options: Trunk(name="backbone")
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * IMAGES)
    mirrored, one_device = make_strategy("mirrored"), make_strategy("one_device")
    results = {"replicas": mirrored.num_replicas_in_sync}
    for selection in ("ohem", "sampled"):
        targets = {"roi_targets": {"selection": selection, "rois_per_image": 8}}
        eight = Run(mirrored, **targets)
        at_once = Run(one_device, **targets)
        results[f"{selection}, padded alike"] = compare(at_once.update(True), eight.update(True))
        one_by_one = Run(one_device, accumulation_steps=IMAGES, **targets)
        results[f"{selection}, sizes of their own"] = compare(one_by_one.update(False), eight.update(False))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
