"""Whether training keeps its speed and its memory: `python -m benchmarks.throughput`.

Trains a ResNet-18 for 2,000 steps of two images, by the Trainer and from files through the whole pipeline. Images have
proportions from 3:5 to 5:3 and scales from 160 to 384, drawn for every step, so that hardly two batches have the same
size. Checked are that the step is traced once, that the run does not become slower, and that memory does not grow any
more in its second half: before that, oneDNN keeps what it has prepared for every new size, until its caches are full.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from benchmarks.memory import memory_of
from benchmarks.scenes import CLASSES, write_scenes
from fcis_tf.command_line import add_override_argument, run_program
from fcis_tf.config import load_config
from fcis_tf.data import load_dataset, training_batches
from fcis_tf.errors import UserError
from fcis_tf.model_directory import build_model
from fcis_tf.training.optimizer import Optimizer
from fcis_tf.training.skipped_images import SkippedImages
from fcis_tf.training.trainer import Trainer

CONFIG = Path(__file__).parent.parent / "configs" / "digits.yaml"
SCENES = 200
SCALES = range(160, 385, 8)
PARTS = 10
# What two runs of the same steps differ by, on a machine that does nothing else.
LARGEST_DECAY, LARGEST_GROWTH = 0.05, 0.05


def main():
    parser = argparse.ArgumentParser(description="Watches speed, memory and tracing over many steps of varying sizes.")
    parser.add_argument("--steps", type=int, default=2000, help="[%(default)s]")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    add_override_argument(parser)
    arguments = parser.parse_args()
    if arguments.steps < PARTS:
        raise UserError(f"--steps: expected {PARTS} or more, found {arguments.steps}")
    with tempfile.TemporaryDirectory() as folder:
        config = make_config(Path(folder), arguments.override)
        figures = train(config, arguments.steps)
    print_table(figures)
    problems = find_problems(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures | {"problems": problems}, indent=1) + "\n")
    print("\n".join(problems), file=sys.stderr)
    return 1 if problems else 0


def make_config(folder, overrides):
    """Writes scenes of SCENES different proportions; returns the configuration to train on them."""
    proportions = np.exp(np.random.default_rng(0).uniform(np.log(3 / 5), np.log(5 / 3), SCENES))
    sizes = [(round(max(SCALES) * max(ratio, 1)), round(max(SCALES) * max(1 / ratio, 1))) for ratio in proportions]
    data = {
        "short_side": max(SCALES),
        "long_side": 2 * max(SCALES),
        "train_scales": list(SCALES),
        "horizontal_flip": True,
        "train": write_scenes(folder, sizes),
    }
    ours = [f"data.{key}={json.dumps(value)}" for key, value in data.items()]
    # Random weights that keep changing a little: what is measured does not depend on what is learned.
    rate = "training.learning_rate={values: [0.0001], boundaries: [], multipliers: {}}"
    return load_config(CONFIG, [*ours, rate, *overrides])


def train(config, steps):
    """Trains for so many steps; returns the figures of every tenth, and how many sizes and traces there were."""
    keras.utils.set_random_seed(config.training.seed)
    source = load_dataset(config.data, "train")
    model = build_model(config, CLASSES)
    optimizer = Optimizer(config.training, model.trainable_variables, config.model.precision)
    batches = training_batches(source, config.data, config.training.images_per_step, config.training.seed)
    step, parts = tf.Variable(0, dtype=tf.int64), []
    with tqdm(total=steps, desc="train", unit=" steps") as bar:
        trainer = Trainer(model, optimizer, batches, config.training, step, bar, SkippedImages(source))
        for part in range(1, PARTS + 1):
            count = steps * part // PARTS - steps * (part - 1) // PARTS
            start = time.perf_counter()
            trainer.train(tf.constant(count))
            speed = count * config.training.images_per_step / (time.perf_counter() - start)
            parts.append({"images_per_second": speed, "memory_mb": memory_of()["VmRSS"]})
    sizes = list(batches.take(steps).map(lambda batch: tf.shape(batch["images"])).as_numpy_iterator())
    return {
        "steps": steps,
        "parts": parts,
        "sizes": len(np.unique(sizes, axis=0)),
        "traces": trainer._finish_step.experimental_get_tracing_count(),
    }


def find_problems(figures):
    """Returns a line for everything that should not be."""
    # The first tenth has the tracing and compilation in it.
    speeds = [part["images_per_second"] for part in figures["parts"][1:]]
    half = len(speeds) // 2
    decay = 1 - statistics.median(speeds[-half:]) / statistics.median(speeds[:half])
    memory = [part["memory_mb"] for part in figures["parts"]]
    growth = memory[-1] / memory[len(memory) // 2 - 1] - 1
    problems = []
    if figures["traces"] != 1:
        problems.append(f"the step was traced {figures['traces']} times, not once")
    if decay > LARGEST_DECAY:
        problems.append(f"the last steps were slower by {decay:.1%} than those before them")
    if growth > LARGEST_GROWTH:
        problems.append(f"memory grew by {growth:.1%} in the second half of the steps")
    return problems


def print_table(figures):
    print(f"\n{figures['steps']} steps, batches of {figures['sizes']} sizes, traced {figures['traces']} times\n")
    print(f"{'steps':>8}{'images/s':>10}{'MB':>8}")
    for number, part in enumerate(figures["parts"], 1):
        end = figures["steps"] * number // PARTS
        print(f"{end:8}{part['images_per_second']:10.2f}{part['memory_mb']:8.0f}")


if __name__ == "__main__":
    run_program(main)
