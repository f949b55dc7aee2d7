"""Finds the instances in images by asking a server: `python -m serving.client localhost:8500 a.jpg b.png`."""

import argparse
import math
import re
import sys
from pathlib import Path

import tensorflow as tf

from fcis_tf.command_line import run_program, whole_number
from fcis_tf.errors import UserError
from fcis_tf.inference.predict_files import predict_files
from serving.prediction_client import PredictionClient
from serving.remote_predictor import RemotePredictor


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="python -m serving.client",
        description="Finds the instances in images by asking TensorFlow Serving; draws masks, classes and scores over "
        "each image, and writes all instances to instances.json as COCO results, whose category_id is the number of "
        "the class, 1 for the model's first. Exit status 1 if there was no answer for an image.",
    )
    parser.add_argument("address", metavar="HOST:PORT", type=_address, help="where the server's gRPC is, port 8500")
    parser.add_argument("images", nargs="+", metavar="IMAGE", type=Path, help="image file: JPEG, PNG, GIF, BMP or WebP")
    parser.add_argument("--model-name", default="fcis", help="the server's name for the model [%(default)s]")
    parser.add_argument("--out", default=Path("predictions"), type=Path, help="directory to write to [%(default)s]")
    parser.add_argument(
        "--min-score", default=0.5, type=_score, help="leave out instances of a lower score, in 0..1 [%(default)s]"
    )
    parser.add_argument(
        "--concurrency",
        default=4,
        type=whole_number(1, 1024),
        metavar="N",
        help="images asked for at once [%(default)s]",
    )
    parser.add_argument(
        "--timeout", default=60.0, type=_seconds, metavar="SECONDS", help="for an image, retries included [%(default)g]"
    )
    parser.add_argument(
        "--retries",
        default=3,
        type=whole_number(0, 4),
        metavar="N",
        help="how often to ask again where the server is not available [%(default)s]",
    )
    parser.add_argument("--tls", action="store_true", help="encrypt, trusting the well-known authorities")
    parser.add_argument("--ca-file", type=Path, help="encrypt, trusting the authorities in this PEM file")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    # The server computes; of a GPU beside this process TensorFlow would take all memory.
    tf.config.set_visible_devices([], "GPU")
    certificates = _read(arguments.ca_file) if arguments.ca_file else None
    client = PredictionClient(
        arguments.address,
        arguments.model_name,
        timeout=arguments.timeout,
        retries=arguments.retries,
        root_certificates=certificates,
        encrypted=arguments.tls or certificates is not None,
    )
    with client:
        client.check_model()
        predictor = RemotePredictor(client, arguments.min_score)
        # The server doesn't tell the data set's ids of the classes: they have their numbers.
        category_ids = range(1, sys.maxsize)
        count, failures = predict_files(
            predictor, arguments.images, arguments.out, predictor.class_names, category_ids, arguments.concurrency
        )
    answered = len(arguments.images) - failures
    if answered:
        print(f"{count} instances in {answered} images; drawings and instances.json in {arguments.out}")
    return 1 if failures else 0


def _address(text):
    if not re.fullmatch(r".+:[0-9]{1,5}", text) or int(text.rpartition(":")[2]) > 65535:
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, found {text}")
    return text


def _score(text):
    score = _number(text)
    if not 0 <= score <= 1:
        raise argparse.ArgumentTypeError(f"expected a score in 0..1, found {text}")
    return score


def _seconds(text):
    seconds = _number(text)
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, found {text}")
    return seconds


def _number(text):
    try:
        return float(text)
    except ValueError:
        return math.nan


def _read(path):
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"--ca-file {path}: {error.strerror}") from None


if __name__ == "__main__":
    run_program(main)
