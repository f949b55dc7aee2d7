#!/usr/bin/env python
"""Trains a network."""

from fcis_tf.preemption import EXIT_STATUS, exit_on_signals

# First of all: importing TensorFlow takes seconds.
exit_on_signals()

import argparse
import re
from pathlib import Path

from fcis_tf.command_line import add_override_argument, run_program
from fcis_tf.config import load_config
from fcis_tf.evaluation import metrics_table
from fcis_tf.training import train


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Trains a network on data.train, continuing an interrupted run where it stopped, and evaluates it "
        "on data.eval. Watch it with: tensorboard --logdir MODEL_DIR",
        epilog="A run can be interrupted at any time, and the same command continues it. SIGTERM, which announces that "
        f"a machine is taken away, saves a checkpoint and exits with status {EXIT_STATUS}; Ctrl-C saves too (130), a "
        "second one quits at once. A mistake, or a disk that is full, is exit status 2.",
    )
    parser.add_argument("--config", required=True, type=Path, help="YAML file, e.g. configs/digits.yaml")
    parser.add_argument(
        "--model-dir", type=Path, help="directory for checkpoints, curves and metrics [runs/NAME of the config]"
    )
    parser.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="continue from the newest checkpoint in --model-dir, if there is one",
    )
    parser.add_argument(
        "--tf-data-service",
        metavar="grpc://HOST:PORT",
        help="take the batches from the workers of this tf.data service, see python -m fcis_tf.data.service",
    )
    parser.add_argument(
        "--strategy",
        choices=["auto", "one_device", "mirrored", "multi_worker"],
        help="devices to train on, in place of training.strategy: mirrored for all GPUs of this machine, multi_worker "
        "for those of all machines in TF_CONFIG, auto for what there is",
    )
    parser.add_argument(
        "--profile",
        metavar="FIRST:END",
        type=_step_range,
        help="record where the time of these steps goes, e.g. 100:110, for TensorBoard's page Profile",
    )
    add_override_argument(parser)
    return parser.parse_args()


def _step_range(text):
    found = re.fullmatch(r"([0-9]+):([0-9]+)", text)
    if not found or int(found[1]) >= int(found[2]):
        raise argparse.ArgumentTypeError(f"expected FIRST:END, such as 100:110, found {text}")
    return int(found[1]), int(found[2])


def main():
    arguments = parse_arguments()
    strategy = [f"training.strategy={arguments.strategy}"] if arguments.strategy else []
    config = load_config(arguments.config, [*arguments.override, *strategy])
    model_dir = arguments.model_dir or Path("runs") / arguments.config.stem
    metrics = train(
        config,
        model_dir,
        resume=arguments.resume,
        data_service=arguments.tf_data_service,
        profile=arguments.profile,
    )
    if metrics:
        print(f"\n{metrics_table(metrics)}")
    print(f"\ncheckpoints, curves and metrics are in {model_dir}")


if __name__ == "__main__":
    run_program(main)
