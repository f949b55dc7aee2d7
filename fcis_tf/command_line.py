"""What the command-line programs have in common."""

import argparse
import logging
import sys
from pathlib import Path

import tensorflow as tf

from fcis_tf.data import describe_data_error
from fcis_tf.errors import UserError
from fcis_tf.printable import printable


def run_program(main):
    """Runs the main function of a program and exits.

    Mistakes of the user, which are UserErrors, and files of a data set that cannot be read become one line on the
    standard error and exit status 2, which argparse gives to wrong arguments too; Ctrl-C becomes exit status 130.

    Args:
        main: a function without arguments; what it returns is the exit status, None for success.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("absl").setLevel(logging.WARNING)
    # Its warnings list what a damaged checkpoint leaves unset; the error says so in one line.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        status = main()
    except UserError as error:
        status = _report(error, 2)
    except tf.errors.OpError as error:
        message = describe_data_error(error)
        if message is None:
            raise
        status = _report(message, 2)
    except KeyboardInterrupt:
        status = _report("interrupted", 130)
    sys.exit(status)


def _report(message, status):
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name
    print(f"{name}: {printable(str(message))}", file=sys.stderr)
    return status


def add_override_argument(parser):
    """Adds --override, which replaces one value of the configuration and may be repeated."""
    parser.add_argument(
        "--override",
        action="append",
        default=[],
        metavar="KEY.KEY=VALUE",
        help="replace one value of the configuration, e.g. inference.max_detections=20; may be repeated",
    )


def add_model_dir_argument(parser):
    """Adds --model-dir, which names a trained network; repeated it names an ensemble: the value is a list."""
    parser.add_argument(
        "--model-dir",
        action="append",
        required=True,
        type=Path,
        metavar="DIR",
        help="directory that train.py wrote; repeated, the networks' outputs are averaged",
    )


def add_mask_proposals_argument(parser):
    """Adds --mask-proposals, which names the InstanceFCN whose masks an R-FCN classifies."""
    parser.add_argument(
        "--mask-proposals",
        type=Path,
        metavar="DIR",
        help="where --model-dir holds an R-FCN, which has no masks: directory of the InstanceFCN that proposes them, "
        "see docs/ablations.md",
    )


def whole_number(low, high):
    """Returns a type of an argument: a whole number from `low` to `high`."""

    def parse(text):
        if not text.isascii() or not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"expected a whole number in {low}..{high}, found {text}")
        return int(text)

    return parse
