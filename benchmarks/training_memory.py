"""Peak memory of a training step: `python -m benchmarks.training_memory --config configs/coco.yaml --classes 80`.

Steps run on random images of the size that the configuration gives the largest batch, with and without
`model.rematerialize`, each in a process of its own. The peak is that of TensorFlow's allocator: all tensors of the
device, the network's and the optimiser's variables among them. Beside it stands what training estimates at its start.
"""

import argparse
import json
import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from fcis_tf.command_line import add_override_argument, run_program
from fcis_tf.config import load_config
from fcis_tf.model_directory import build_model
from fcis_tf.training.memory_estimate import estimate_memory, largest_image
from fcis_tf.training.optimizer import Optimizer
from fcis_tf.training.trainer import Trainer

INSTANCES = 20


def main():
    parser = argparse.ArgumentParser(description="Measures the peak memory of a training step.")
    parser.add_argument("--config", required=True)
    parser.add_argument("--classes", type=int, default=80, help="number of classes [%(default)s]")
    parser.add_argument("--steps", type=int, default=3, help="steps to time, after one that is not [%(default)s]")
    parser.add_argument("--json", help="also write the figures to this file")
    add_override_argument(parser)
    arguments = parser.parse_args()
    config = load_config(arguments.config, arguments.override)
    results = measure_both(config, arguments.classes, arguments.steps)
    height, width = largest_image(config.data)
    images = f"{config.training.images_per_step} images of {height} x {width}"
    print(f"\n{arguments.config}, {images}, {arguments.classes} classes\n")
    print(f"{'rematerialize':16}{'peak, GB':>10}{'estimate':>10}{'ratio':>8}{'step, s':>10}")
    for name, (peak, estimate, seconds) in results.items():
        print(f"{name:16}{peak / 1e9:10.2f}{estimate / 1e9:10.2f}{estimate / peak:8.2f}{seconds:10.2f}")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(results, file, indent=1)


def measure_both(config, num_classes, steps):
    """Returns {"false" and "true": (peak bytes, estimated bytes, median seconds of a step)}."""
    results = {}
    for rematerialize in tqdm((False, True), desc="measure", unit=" runs"):
        model = config.model.model_copy(update={"rematerialize": rematerialize})
        # TensorFlow never gives memory back to the device, so each needs a process.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
            run = config.model_copy(update={"model": model})
            results[str(rematerialize).lower()] = executor.submit(measure, run, num_classes, steps).result()
    return results


def measure(config, num_classes, steps):
    """Trains on random images.

    Args:
        config: a Config.
        num_classes: C, without the background.
        steps: how many to time.

    Returns:
        (peak bytes, estimated bytes, median seconds of a step).
    """
    keras.utils.set_random_seed(0)
    device = "GPU:0" if tf.config.list_physical_devices("GPU") else "CPU:0"
    model = build_model(config, num_classes)
    # Random weights diverge at the learning rate of trained ones.
    rate = config.training.learning_rate.model_copy(update={"values": (1e-12,), "boundaries": ()})
    training = config.training.model_copy(update={"learning_rate": rate})
    optimizer = Optimizer(training, model.trainable_variables)
    batches = tf.data.Dataset.from_tensors(random_batch(config, num_classes)).repeat()
    trainer = Trainer(
        model, optimizer, batches, training, tf.Variable(0, dtype=tf.int64), tqdm(disable=True), _NoneSkipped()
    )
    trainer.train(1)
    tf.config.experimental.reset_memory_stats(device)
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        trainer.train(1)
        times.append(time.perf_counter() - start)
    peak = tf.config.experimental.get_memory_info(device)["peak"]
    estimate, _ = estimate_memory(config, num_classes, config.training.images_per_step)
    return peak, estimate.peak, statistics.median(times)


def random_batch(config, num_classes):
    """Returns a training batch (see `fcis_tf.data`) of noise with INSTANCES boxes an image."""
    rng = np.random.default_rng(0)
    count = config.training.images_per_step
    height, width = largest_image(config.data)
    corners = rng.uniform(0, 0.7, [count, INSTANCES, 2])
    sides = rng.uniform(0.1, 0.3, [count, INSTANCES, 2])
    boxes = np.concatenate([corners, corners + sides], axis=-1) * [height, width, height, width]
    mask_size = config.data.mask_size
    return {
        "images": tf.constant(rng.uniform(-100, 100, [count, height, width, 3]), tf.float32),
        "image_sizes": tf.constant([[height, width]] * count),
        "boxes": tf.constant(boxes, tf.float32),
        "classes": tf.constant(rng.integers(1, num_classes + 1, [count, INSTANCES]), tf.int32),
        "is_crowd": tf.zeros([count, INSTANCES], tf.bool),
        "masks": tf.constant(rng.integers(0, 2, [count, INSTANCES, mask_size, mask_size]), tf.uint8),
        "skipped": tf.fill([count], tf.constant(-1, tf.int64)),
    }


class _NoneSkipped:
    def report(self, indices):
        pass


if __name__ == "__main__":
    run_program(main)
