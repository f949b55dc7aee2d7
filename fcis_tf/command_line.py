"""What the command-line programs have in common."""

import logging
import os
import sys

# TensorFlow reads it when it is imported: 3 silences its notes on the machine, of which failures are raised anyway.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from fcis_tf.errors import UserError  # noqa: E402


def run_program(main):
    """Runs the main function of a program and exits.

    Mistakes of the user, which are UserErrors, become one line on the standard error and exit status 2, as argparse
    does with wrong arguments; Ctrl-C becomes exit status 130.

    Args:
        main: a function without arguments; what it returns is the exit status, None for success.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("absl").setLevel(logging.WARNING)
    try:
        sys.exit(main())
    except UserError as error:
        print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{os.path.basename(sys.argv[0])}: interrupted", file=sys.stderr)
        sys.exit(130)


def add_override_argument(parser):
    """Adds --override, which replaces single values of the configuration."""
    parser.add_argument(
        "--override",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY.KEY=VALUE",
        help="replace single values of the configuration, e.g. inference.max_detections=20",
    )
