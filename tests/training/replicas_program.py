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
from fcis_tf.models.rematerialization import rematerialized
from fcis_tf.training.optimizer import Optimizer
from fcis_tf.training.strategy import make_strategy
from fcis_tf.training.trainer import Trainer
from tests.tiny_config import tiny_config

IMAGES, CLASSES = 8, 3
HEIGHT, WIDTH = 80, 112
TRAINING = {"images_per_step": IMAGES, "learning_rate": {"values": [0.1], "boundaries": [], "multipliers": {}}}


class Trunk(keras.Layer):
    """A trunk that is smooth, so that rounding is not amplified where an activation changes its sign."""

    def __init__(self):
        super().__init__(name="backbone")
        self.to_conv4 = keras.layers.Conv2D(16, 16, strides=16, padding="same", activation="tanh", name="to_conv4")
        self.to_conv5 = keras.layers.Conv2D(16, 3, padding="same", activation="tanh", name="to_conv5")

    def call(self, images, training=False):
        conv4 = self.to_conv4(images / 60.0)
        return conv4, self.to_conv5(conv4)


class Run:
    """A network, the same in every Run, and its training."""

    def __init__(self, strategy, **training):
        self._strategy = strategy
        config = tiny_config(training=TRAINING | training)
        keras.utils.set_random_seed(0)
        images_per_batch = IMAGES // (config.training.accumulation_steps * strategy.num_replicas_in_sync)
        nothing = SimpleNamespace(report=lambda indices: None)
        with strategy.scope():
            model = build_model(config, CLASSES)
            optimizer = Optimizer(config.training, model.trainable_variables)
            step = tf.Variable(0, dtype=tf.int64)
            batches = strategy.distribute_datasets_from_function(lambda _: make_batches(images_per_batch))
            bar = tqdm(disable=True)
            self._trainer = Trainer(model, optimizer, batches, config.training, step, bar, nothing)
        self._variables = [v for v in (*model.variables, *optimizer.variables) if v.dtype == "float32"]
        self._first = [variable.numpy() for variable in self._variables]

    def next_update(self):
        """Returns what a step from the first weights changes, by variable, and what the trainer says of it."""
        for variable, value in zip(self._variables, self._first, strict=True):
            variable.assign(value)
        said = self._trainer.train(1)
        for variable in self._variables:
            copies = [copy.numpy() for copy in self._strategy.experimental_local_results(variable.value)]
            assert all((copy == copies[0]).all() for copy in copies), variable.path
        pairs = zip(self._variables, self._first, strict=True)
        changes = {variable.path: variable.numpy() - first for variable, first in pairs}
        # The moving statistics of frozen batch normalisation stay.
        return {path: change for path, change in changes.items() if np.any(change)}, said


def make_batches(images_per_batch):
    """Returns an endless data set of the eight images, first padded to one size, then each batch as it needs."""
    examples = [make_example(i) for i in range(IMAGES)]
    spec = {name: tf.TensorSpec(np.shape(value), value.dtype) for name, value in examples[0].items()}
    spec["images"] = tf.TensorSpec([None, None, 3])

    def padded(example):
        height, width = example["image_sizes"]
        return example | {"images": np.pad(example["images"], [[0, HEIGHT - height], [0, WIDTH - width], [0, 0]])}

    sequence = [padded(example) for example in examples] + examples
    data = tf.data.Dataset.from_generator(lambda: iter(sequence), output_signature=spec).repeat()
    return data.padded_batch(images_per_batch, drop_remainder=True)


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


class Normalization(keras.Layer):
    """A layer of batch normalisation, perhaps computed a second time for its gradient."""

    def __init__(self, rematerialize):
        super().__init__()
        self.rematerialize = rematerialize
        self.norm = FusedBatchNormalization()
        self.norm.build([None, None, None, 3])

    @rematerialized
    def call(self, images, training=False):
        return self.norm(images, training=training)


def normalize(strategy, rematerialize):
    """Returns the gradients of batch normalisation, and the change of its statistics, for the eight images."""
    images = tf.random.stateless_normal([IMAGES, 5, 7, 3], [0, 0]) * tf.range(1.0, 9.0)[:, None, None, None] + 30.0
    images_per_replica = IMAGES // strategy.num_replicas_in_sync
    with strategy.scope():
        layer = Normalization(rematerialize)
        norm = layer.norm

    def of_replica(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            loss = tf.reduce_sum(layer(images, training=True) ** 3)
        return tape.gradient(loss, [images, norm.gamma.value, norm.beta.value])

    def part(context):
        first = context.replica_id_in_sync_group * images_per_replica
        return images[first : first + images_per_replica]

    parts = strategy.experimental_distribute_values_from_function(part)
    of_images, *of_weights = tf.function(lambda images: strategy.run(of_replica, (images,)))(parts)
    gamma, beta = (strategy.reduce("SUM", gradient, axis=None) for gradient in of_weights)
    of_images = tf.concat(strategy.experimental_local_results(of_images), axis=0)
    statistics = {"mean": norm.moving_mean, "variance": norm.moving_variance}
    found = {"images": of_images, "gamma": gamma, "beta": beta, **statistics}
    return {name: value.numpy() for name, value in found.items()}, {}


def compare(one, other):
    """Returns the length of the difference of two updates relative to the update's, of all weights and of the variable
    where it is largest, and how far the losses differ."""
    (changes, said), (others, also_said) = one, other
    squares = np.array([[np.sum((changes[path] - others[path]) ** 2), np.sum(changes[path] ** 2)] for path in changes])
    differences, lengths = np.sqrt(squares.astype(np.float64)).T
    values = [abs(said[name] - also_said[name]) for name in said if name != "images_per_second"]
    return {
        "update": float(np.linalg.norm(differences) / np.linalg.norm(lengths)),
        "variable": float(np.max(differences / lengths)),
        "losses": float(max(values, default=0.0)),
    }


def main():
    fcis.AtrousResNet = SimpleNamespace(of_model=lambda *arguments, **options: Trunk())
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * IMAGES)
    mirrored, one_device = make_strategy("mirrored"), make_strategy("one_device")
    results = {"replicas": mirrored.num_replicas_in_sync}
    for selection in ("ohem", "sampled"):
        targets = {"roi_targets": {"selection": selection, "rois_per_image": 8}}
        at_once, eight = Run(one_device, **targets), Run(mirrored, **targets)
        one_by_one = Run(one_device, accumulation_steps=IMAGES, **targets)
        padded = at_once.next_update()
        results[f"{selection}: eight replicas, padded alike"] = compare(padded, eight.next_update())
        results[f"{selection}: one after the other, padded alike"] = compare(padded, one_by_one.next_update())
        results[f"{selection}: eight replicas"] = compare(one_by_one.next_update(), eight.next_update())
    expected = normalize(one_device, rematerialize=False)
    results["batch normalisation"] = compare(expected, normalize(mirrored, rematerialize=False))
    results["batch normalisation, rematerialised"] = compare(expected, normalize(mirrored, rematerialize=True))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
