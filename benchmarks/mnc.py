"""What computation per RoI costs: `python -m benchmarks.mnc`.

FCIS beside MNC, both with a ResNet-101 and 80 classes, random weights and an image of 600 x 800, with 100, 300 and
1,000 RoIs (FCIS section 4.2, which finds FCIS 6 times faster at inference and 4 times in training). Inference is the
network with both passes over the RoIs, without suppression and mask voting, which are the same for both. A training
step has OHEM over all RoIs. Every system is in a process of its own, and they take turns.
"""

import argparse
import functools
import json
import statistics
import time
from pathlib import Path

import tensorflow as tf
from tqdm import tqdm

from benchmarks.train import OHEM, PRECISIONS, SIZE, in_new_process, make_fcis, seconds_of
from fcis_tf.command_line import run_program
from fcis_tf.inference import frozen_weights

HEADS = {"FCIS": "inside_outside", "MNC": "mnc"}
ROIS = (100, 300, 1000)


def main():
    parser = argparse.ArgumentParser(description="Times FCIS beside MNC, by the number of RoIs.")
    parser.add_argument("--runs", type=int, default=5, help="how often each is timed [%(default)s]")
    parser.add_argument("--precision", choices=PRECISIONS, default="mixed_bfloat16", help="[%(default)s]")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    with tqdm(total=len(ROIS) * len(HEADS) * (arguments.runs + 1), desc="FCIS and MNC", unit=" runs") as bar:
        figures = {rois: measure(rois, arguments.precision, arguments.runs, bar) for rois in ROIS}
    print_table(arguments.precision, figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


def measure(rois, precision, runs, bar):
    """Returns {system: (inference, training step)}, medians in seconds."""
    seconds = {name: [] for name in HEADS}
    with in_new_process() as fcis, in_new_process() as mnc:
        processes = {"FCIS": fcis, "MNC": mnc}
        # The first of each compiles.
        for run in range(runs + 1):
            for name in list(HEADS)[:: -1 if run % 2 else 1]:
                overrides = (
                    f"model.head={HEADS[name]}",
                    f"model.proposals.after_nms={rois}",
                    f"model.precision={precision}",
                    # Of layers that MNC does not have.
                    "training.learning_rate.multipliers={}",
                )
                inference = processes[name].submit(inference_seconds, overrides).result()
                seconds[name].append((inference, processes[name].submit(seconds_of, OHEM, overrides).result()))
                bar.update()
    return {name: tuple(map(statistics.median, zip(*found[1:], strict=True))) for name, found in seconds.items()}


def inference_seconds(overrides):
    """Runs the network once and returns its seconds."""
    infer = inference(overrides)
    start = time.perf_counter()
    infer()
    return time.perf_counter() - start


@functools.cache
def inference(overrides):
    """Returns a function that runs the network of a configuration and waits for its end."""
    model, _, _, batch = make_fcis(overrides)

    @tf.function
    def infer(images, sizes):
        with frozen_weights(model):
            return model(images, sizes)

    return lambda: infer(batch["images"], batch["image_sizes"])["class_logits"].numpy()


def print_table(precision, figures):
    print(f"\n{precision}: an image of {SIZE[0]} x {SIZE[1]}, ResNet-101; milliseconds\n")
    print(f"{'RoIs':>6}" + "".join(f"{title:>12}" for title in ("inference", "MNC", "ratio", "step", "MNC", "ratio")))
    for rois, found in figures.items():
        columns = (
            f"{1000 * ours:12.0f}{1000 * theirs:12.0f}{theirs / ours:12.2f}"
            for ours, theirs in zip(found["FCIS"], found["MNC"], strict=True)
        )
        print(f"{rois:6}" + "".join(columns))


if __name__ == "__main__":
    run_program(main)
