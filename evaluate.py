#!/usr/bin/env python
"""Evaluates a trained network, or an ensemble, with COCO's metrics, and with PASCAL VOC's for VOC's classes."""

import argparse
import signal
import sys
from pathlib import Path

from fcis_tf.command_line import (
    add_mask_proposals_argument,
    add_model_dir_argument,
    add_override_argument,
    run_program,
    whole_number,
)
from fcis_tf.compatibility import check_same_classes
from fcis_tf.config import load_config
from fcis_tf.data import load_dataset
from fcis_tf.errors import UserError
from fcis_tf.evaluation import evaluate, metrics_table
from fcis_tf.inference import Predictor
from fcis_tf.inference.tricks import TRICKS_HELP, tricks_in_use
from fcis_tf.json_file import write_json
from fcis_tf.model_directory import load_ensemble, load_mask_proposals
from fcis_tf.training.watch import watch


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Finds the instances in every image of data.eval, compares masks and boxes with the ground truth, "
        "prints COCO's metrics, for VOC's classes VOC's as well, and writes them as JSON.",
        epilog=TRICKS_HELP,
    )
    parser.add_argument("--config", required=True, type=Path, help="YAML file; its data.eval is evaluated on")
    add_model_dir_argument(parser)
    add_mask_proposals_argument(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="where the metrics are written [metrics.json in the first model directory; with tricks or several "
        "networks metrics_tricks.json]",
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help="evaluate every new checkpoint of a run that train.py makes meanwhile, also one that has yet to begin, "
        "until its last step; writes what training's own evaluations write: TensorBoard's curves, metrics.json and "
        "the best network",
    )
    parser.add_argument(
        "--watch-timeout",
        type=whole_number(1, 10**9),
        metavar="SECONDS",
        help="with --watch: end when there is no new checkpoint for so long [never]",
    )
    add_override_argument(parser)
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    config = load_config(arguments.config, arguments.override)
    if arguments.watch:
        watch_training(arguments, config)
    else:
        evaluate_once(arguments, config)


def evaluate_once(arguments, config):
    if arguments.watch_timeout:
        raise UserError("--watch-timeout: needs --watch")
    ensemble = load_ensemble(arguments.model_dir, config, arguments.mask_proposals)
    mask_proposals = load_mask_proposals(arguments.mask_proposals) if arguments.mask_proposals else None
    first_dir, first = arguments.model_dir[0], ensemble[0]
    source = load_dataset(config.data, "eval")
    check_same_classes(source.class_names, "data.eval", first.class_names, f"the network in {first_dir}")

    tricks = tricks_in_use(config.inference, len(ensemble))
    out = arguments.out or first_dir / ("metrics_tricks.json" if tricks else "metrics.json")
    if not out.parent.is_dir():
        raise UserError(f"--out {out}: there is no directory {out.parent}")

    # Of several networks the weights could be more than a graph can hold as constants, 2 GB.
    networks = [trained.model for trained in ensemble]
    predictor = Predictor(networks, config, freeze=len(networks) == 1, mask_proposals=mask_proposals)
    metrics = evaluate(predictor, source, config)
    parts = zip(arguments.model_dir, ensemble, strict=True)
    if mask_proposals:
        parts = [*parts, (arguments.mask_proposals, mask_proposals)]
    networks = [f"{path}, step {trained.step}" for path, trained in parts]
    with_tricks = f", with {', '.join(tricks)}" if tricks else ""
    print(f"{', and '.join(networks)}, on data.eval of {arguments.config}{with_tricks}\n\n{metrics_table(metrics)}")
    write_json(metrics.as_json(), out)


def watch_training(arguments, config):
    model_dir, *others = arguments.model_dir
    if others or arguments.mask_proposals:
        raise UserError("--watch: follows one training run, name one --model-dir and no --mask-proposals")
    if arguments.out:
        raise UserError(f"--out {arguments.out}: --watch writes metrics.json in the model directory, leave out --out")
    # As the shell reports it; the first process of a container would not even notice without a handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    for step, metrics in watch(model_dir, config, load_dataset(config.data, "eval"), arguments.watch_timeout):
        masks, boxes = (f"AP {values['AP']:.3f}, AP50 {values['AP50']:.3f}" for values in metrics.summary.values())
        print(f"step {step}: masks {masks}; boxes {boxes}", flush=True)
    print(f"\n{model_dir}, step {step}, on data.eval of {arguments.config}\n\n{metrics_table(metrics)}")


if __name__ == "__main__":
    run_program(main)
