#!/usr/bin/env python
"""Finds the instances in images."""

import argparse
from pathlib import Path

from fcis_tf.command_line import (
    add_mask_proposals_argument,
    add_model_dir_argument,
    add_override_argument,
    run_program,
)
from fcis_tf.inference import Predictor
from fcis_tf.inference.predict_files import predict_files
from fcis_tf.inference.tricks import TRICKS_HELP
from fcis_tf.model_directory import load_ensemble, load_mask_proposals, read_config


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Finds the instances in images; draws masks, classes and scores over each image, and writes all "
        "instances to instances.json as COCO results. Exit status 1 if an image could not be read.",
        epilog=TRICKS_HELP,
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", type=Path, help="image file: JPEG, PNG, GIF, BMP or WebP")
    add_model_dir_argument(parser)
    add_mask_proposals_argument(parser)
    parser.add_argument("--out", default=Path("predictions"), type=Path, help="directory to write to [%(default)s]")
    parser.add_argument(
        "--min-score", default=0.5, type=float, help="leave out instances of a lower score, in 0..1 [%(default)s]"
    )
    add_override_argument(parser)
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    overrides = [f"inference.score_threshold={arguments.min_score}", *arguments.override]
    config = read_config(arguments.model_dir[0], overrides)
    ensemble = load_ensemble(arguments.model_dir, config, arguments.mask_proposals)
    mask_proposals = load_mask_proposals(arguments.mask_proposals) if arguments.mask_proposals else None

    predictor = Predictor([trained.model for trained in ensemble], config, mask_proposals=mask_proposals)
    names, ids = ensemble[0].class_names, ensemble[0].category_ids
    count, failures = predict_files(predictor, arguments.images, arguments.out, names, ids)
    readable = len(arguments.images) - failures
    if readable:
        print(f"{count} instances in {readable} images; drawings and instances.json in {arguments.out}")
    return 1 if failures else 0


if __name__ == "__main__":
    run_program(main)
