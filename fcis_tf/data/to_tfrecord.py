"""Converts a data set to TFRecord files: `python -m fcis_tf.data.to_tfrecord --help`."""

import argparse
import os
import signal
import sys
from pathlib import Path

from fcis_tf.command_line import add_override_argument, run_program, whole_number
from fcis_tf.config import load_config
from fcis_tf.data.tfrecord.conversion import IMAGES_PER_SHARD, convert


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="python -m fcis_tf.data.to_tfrecord",
        description="Writes the images and instances of data.train or data.eval, of format coco, sbd, voc or digits, "
        "to TFRecord files PREFIX-00000-of-00010.tfrecord in the layout of TensorFlow's Model Garden, with a PNG mask "
        "for each instance. Beside each file stands an index of its records, and PREFIX.records.json says what "
        "they are made of and names the classes.",
        epilog="To train or evaluate on them: --override 'data.train={format: tfrecord, records: PREFIX-*.tfrecord}'. "
        "An interrupted conversion goes on with the same command: it writes the files that are missing. Images that "
        "cannot be read are left out and counted; with data.strict=true they stop the program.",
    )
    parser.add_argument("--config", required=True, type=Path, help="YAML file that names the data set")
    parser.add_argument("--split", required=True, choices=["train", "eval"], help="convert data.train or data.eval")
    parser.add_argument(
        "--out",
        required=True,
        type=Path,
        metavar="PREFIX",
        help="what the files' names begin with, e.g. data/records/train; folders that are missing are made",
    )
    parser.add_argument(
        "--shards",
        type=whole_number(1, 99_999),
        metavar="N",
        help=f"number of files [one per {IMAGES_PER_SHARD} images]",
    )
    parser.add_argument(
        "--processes",
        type=whole_number(1, 1024),
        default=len(os.sched_getaffinity(0)),
        metavar="P",
        help="processes that write at the same time, a file each [as many as there are cores]",
    )
    add_override_argument(parser)
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    # Nothing here is worth a GPU, and every process would take hold of it.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    # What a cluster sends to stop a job is to leave no half file either.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    config = load_config(arguments.config, arguments.override)
    try:
        summary = convert(config.data, arguments.split, arguments.out, arguments.shards, arguments.processes)
    except KeyboardInterrupt:
        print("\nfiles that are complete stay; the same command writes the rest", file=sys.stderr)
        raise
    print(summary)


if __name__ == "__main__":
    run_program(main)
