#!/usr/bin/env python
"""Evaluates a trained network with COCO's metrics, and with PASCAL VOC's on VOC."""

import argparse
from pathlib import Path

from fcis_tf.command_line import add_override_argument, run_program
from fcis_tf.compatibility import check_same_classes
from fcis_tf.config import load_config
from fcis_tf.data import load_dataset
from fcis_tf.evaluation import evaluate, metrics_table
from fcis_tf.inference import Predictor
from fcis_tf.json_file import write_json
from fcis_tf.model_directory import load_trained


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Finds the instances in every image of data.eval, compares masks and boxes with the ground truth, "
        "prints COCO's metrics, on VOC's or SBD's masks VOC's as well, and writes them to metrics.json in the model "
        "directory.",
    )
    parser.add_argument("--config", required=True, type=Path, help="YAML file; its data.eval is evaluated on")
    parser.add_argument("--model-dir", required=True, type=Path, help="directory that train.py wrote")
    add_override_argument(parser)
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    config = load_config(arguments.config, arguments.override)
    trained = load_trained(arguments.model_dir, config)
    source = load_dataset(config.data.eval, config.data.mask_size, key="data.eval")
    check_same_classes(
        source.class_names, "data.eval", trained.class_names, f"the network in {arguments.model_dir}"
    )

    metrics = evaluate(Predictor(trained.model, config, freeze=True), source, config)
    print(f"{arguments.model_dir}, step {trained.step}, on data.eval of {arguments.config}\n\n{metrics_table(metrics)}")
    write_json(metrics.as_json(), arguments.model_dir / "metrics.json")


if __name__ == "__main__":
    run_program(main)
