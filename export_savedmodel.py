#!/usr/bin/env python
"""Exports a trained network as a SavedModel, for TensorFlow Serving."""

import argparse
from pathlib import Path

from fcis_tf.command_line import add_override_argument, run_program, whole_number
from fcis_tf.compatibility import check_finds_instances
from fcis_tf.errors import UserError
from fcis_tf.export import MAX_SIDE, ServingOptions, check_destination, export_savedmodel
from fcis_tf.inference.tricks import tricks_in_use
from fcis_tf.model_directory import load_trained, read_config
from fcis_tf.ops.native import LIBRARY, reason_for_absence

DEFAULTS = ServingOptions()


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Exports a trained network as a SavedModel that stock TensorFlow Serving serves: encoded images "
        "in, boxes, classes, scores and masks out.",
    )
    parser.add_argument("--model-dir", required=True, type=Path, help="directory that train.py wrote")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="DIR/VERSION", help="new directory, named by a number: models/fcis/1"
    )
    parser.add_argument(
        "--min-score", default=0.05, type=float, help="leave out instances of a lower score, in 0..1 [%(default)s]"
    )
    parser.add_argument(
        "--mask-size",
        default=DEFAULTS.mask_size,
        type=whole_number(1, 1024),
        metavar="M",
        help="masks have M x M cells within their boxes [%(default)s]",
    )
    parser.add_argument(
        "--max-pixels",
        default=DEFAULTS.max_pixels,
        type=whole_number(1, MAX_SIDE**2),
        metavar="N",
        help=f"refuse encoded images of more, and those of more than {MAX_SIDE} a side [%(default)s]",
    )
    parser.add_argument(
        "--max-batch-size",
        default=DEFAULTS.max_batch_size,
        type=whole_number(1, 1024),
        metavar="N",
        help="send up to N encoded images of concurrent requests through the network at once [%(default)s]",
    )
    parser.add_argument(
        "--native-ops",
        action="store_true",
        help="use the native operators, which are faster; only servers that have loaded their library can run these",
    )
    add_override_argument(parser)
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    check_destination(arguments.out)
    if arguments.native_ops and reason_for_absence():
        raise UserError(f"--native-ops: these operators cannot be used, since {reason_for_absence()}")
    overrides = [f"inference.score_threshold={arguments.min_score}", *arguments.override]
    config = read_config(arguments.model_dir, overrides)
    check_finds_instances(config, arguments.model_dir)
    if tricks_in_use(config.inference):
        raise UserError(
            f"{arguments.model_dir}: a served network goes without {', '.join(tricks_in_use(config.inference))}; "
            "switch it off with --override"
        )
    trained = load_trained(arguments.model_dir, config)

    options = ServingOptions(
        arguments.mask_size, arguments.max_pixels, arguments.max_batch_size, arguments.native_ops
    )
    export_savedmodel(trained, options, arguments.out)
    print(_description(arguments.out, options))


def _description(out, options):
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    text = f"""{out}: {size / 1e6:.0f} MB
  serving_default: image_bytes, string [B], files in JPEG, PNG, GIF or BMP format
  serve_tensor:    images, uint8 [B, H, W, 3], RGB
  both give        num_detections, detection_boxes, detection_classes, detection_class_entities, detection_scores,
                   detection_masks ({options.mask_size} x {options.mask_size})
  serve_instances: image_bytes, string, one such file; gives boxes, classes, scores, masks, those of its pixels
serve it: docker run --rm -p 8500:8500 -p 8501:8501 -v {out.parent.resolve()}:/models/fcis:ro \\
            -e MODEL_NAME=fcis tensorflow/serving:2.19.1
ask it:   .venv/bin/python -m serving.client localhost:8500 IMAGE"""
    if options.native_ops:
        text += f"\nThe graph needs the native operators: the server must have loaded {LIBRARY}; stock ones cannot."
    return text


if __name__ == "__main__":
    run_program(main)
