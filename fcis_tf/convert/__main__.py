"""Converts networks of other programs: `python -m fcis_tf.convert mxnet|chainercv|keras SOURCE OUT --config C`."""

import argparse
from pathlib import Path

from fcis_tf.command_line import add_override_argument, run_program
from fcis_tf.config import load_config
from fcis_tf.convert.convert_network import KINDS, convert_network


def main():
    parser = argparse.ArgumentParser(
        prog="python -m fcis_tf.convert",
        description="Converts a network of another program into a model directory, which evaluate.py, predict.py and "
        "export_savedmodel.py take, and train.py by init: OUT. Of a trunk alone it makes a network for "
        "the classes of data.train whose other weights are random.",
    )
    parser.add_argument("kind", choices=KINDS, help="whose network it is")
    files = ".params of MXNet, .npz of ChainerCV, .h5 or .keras of Keras"
    parser.add_argument("source", type=Path, metavar="SOURCE", help=f"its file: {files}")
    parser.add_argument("out", type=Path, metavar="OUT", help="the model directory to make")
    parser.add_argument("--config", required=True, type=Path, help="YAML file, e.g. configs/coco.yaml")
    add_override_argument(parser)
    arguments = parser.parse_args()
    config = load_config(arguments.config, arguments.override)
    for line in convert_network(arguments.kind, arguments.source, arguments.out, config):
        print(line)


if __name__ == "__main__":
    run_program(main)
