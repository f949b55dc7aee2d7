"""Looks for what is wrong with one's own data: `python -m fcis_tf.data.check --config CONFIG`."""

import argparse
import contextlib
import logging
from pathlib import Path

from fcis_tf.command_line import add_override_argument, run_program, whole_number
from fcis_tf.config import load_config
from fcis_tf.data.checks import Content, find_faults

_EPILOG = """
what is looked for, in data.train and data.eval:
  category ids that no category has: off by one, positions in the list, in quotes; the background as a category
  image ids that no image has: off by one, in quotes, file names
  file names that are URLs, have backslashes, or stand there twice
  boxes that aren't (x, y, width, height) in pixels: corners, centres, y before x, fractions of the image, other masks
  masks that are missing, empty, plain rectangles, or of another size than their image
  image files that are missing or damaged, or of another size than the annotations say; turned by EXIF
  instances that no anchor reaches at the network's scale, and which anchors would
  crowds only, instances that stand there twice, classes without an instance
  classes that differ between the two data sets, evaluation on training images
  annotations that training leaves out, and why
Exit status: 0 if nothing was found, 1 if something was, 2 if the configuration cannot be read.
"""


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="python -m fcis_tf.data.check",
        description="Looks for the known causes of a network that learns nothing (an mAP of 0) in the data sets of a "
        "configuration. Each finding says what is wrong, with how many, gives an example and what to do.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", required=True, type=Path, help="YAML file, e.g. configs/digits.yaml")
    parser.add_argument(
        "--images",
        type=whole_number(0, 2**31 - 1),
        metavar="N",
        help="decode only N random images of each data set; annotations are looked at all the same [all]",
    )
    add_override_argument(parser)
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    config = load_config(arguments.config, arguments.override)
    with _without_warnings():
        contents = [Content(config.data, split) for split in ("train", "eval")]
        findings = find_faults(*contents, config, arguments.images)
    for content in contents:
        print(f"{content.key}: {_counts(content)}")
    print()
    if not findings:
        print("no problems found")
        return 0
    print("\n".join(finding.report(" and ".join(keys)) for finding, keys in findings.items()))
    return 1


@contextlib.contextmanager
def _without_warnings():
    """Keeps the readers from logging which annotations they leave out: that becomes findings."""
    logger = logging.getLogger("fcis_tf.data")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _counts(content):
    counts = {
        "images": len(content.images),
        "annotations": len(content.annotations),
        "classes": len(content.categories),
    }
    return ", ".join(f"{count} {name}" for name, count in counts.items())


if __name__ == "__main__":
    run_program(main)
