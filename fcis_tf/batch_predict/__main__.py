"""Finds the instances in very many images: `python -m fcis_tf.batch_predict --help`."""

import argparse
import importlib.util
import logging

from fcis_tf.batch_predict.quiet_beam import import_beam_quietly
from fcis_tf.command_line import run_program, whole_number
from fcis_tf.errors import UserError


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="python -m fcis_tf.batch_predict",
        allow_abbrev=False,
        description="Finds the instances in image files, or in the images of TFRecord files, with an exported network, "
        "as an Apache Beam pipeline. Writes COCO results as JSON lines to PREFIX-00000-of-00008.jsonl and so on, and "
        "the images that cannot be read, with the reason, to PREFIX.bad-*.jsonl. Interrupted, it goes on with the "
        "same command: files that are complete stay. Exit status 1 if no image could be read.",
        epilog="All other arguments are Beam's: --temp_location, --flink_master, --environment_type and so on.",
    )
    parser.add_argument("--model", required=True, metavar="DIR", help="what export_savedmodel.py wrote: models/fcis/1")
    parser.add_argument(
        "--input",
        required=True,
        metavar="PATTERN",
        help="image files: JPEG, PNG, GIF, BMP or WebP; or TFRecord files, named *.tfrecord or *-00000-of-00010. "
        "With *, ?, [...], and ** for folders at any depth; in quotes",
    )
    parser.add_argument(
        "--output", required=True, metavar="PREFIX", help="what the names of the files written begin with"
    )
    parser.add_argument(
        "--shards",
        default=8,
        type=whole_number(1, 99_999),
        metavar="N",
        help="files of results; the images of one are predicted one after the other [%(default)s]",
    )
    parser.add_argument(
        "--min-score",
        default=0.0,
        type=float,
        help="leave out instances of a lower score, as the model itself does of lower ones than it was exported with "
        "[%(default)s]",
    )
    parser.add_argument(
        "--runner",
        default="DirectRunner",
        metavar="NAME",
        help="Beam's FlinkRunner, SparkRunner, DataflowRunner, ... [%(default)s, on this machine]",
    )
    parser.add_argument(
        "--workers", type=whole_number(1, 1024), metavar="N", help="processes of the DirectRunner [1]; see --shards"
    )
    arguments, beam_arguments = parser.parse_known_args()
    if beam_arguments and not beam_arguments[0].startswith("-"):
        parser.error(f"unexpected argument: {beam_arguments[0]}; the pattern of --input must be in quotes")
    return arguments, beam_arguments


def _check_arguments(arguments, direct):
    """Returns how many processes a DirectRunner shall have, None for others."""
    if arguments.output.endswith("/") or any(character in "*?[" for character in arguments.output):
        raise UserError(f"--output {arguments.output}: expected what file names begin with, such as results/instances")
    if not 0 <= arguments.min_score <= 1:
        raise UserError(f"--min-score {arguments.min_score:g}: expected a score in 0..1")
    if not direct and arguments.workers:
        raise UserError(f"--workers: {arguments.runner} has arguments of its own for that; expected none")
    workers = (arguments.workers or 1) if direct else None
    if direct and workers > arguments.shards:
        raise UserError(
            f"--workers {workers} --shards {arguments.shards}: expected as many shards as workers at least, better "
            "several times as many"
        )
    return workers


def _summary(job, counts):
    images, instances, bad, finished = (
        counts.get(name, 0) for name in ("images", "instances", "bad images", "finished shards")
    )
    text = f"{job.prefix}-*-of-{job.shards:05d}.jsonl: {instances} instances in {images} images"
    if "seconds an image" in counts:
        text += f", {counts['seconds an image']:.2f} seconds each"
    if bad:
        text += f"; {bad} bad images, see {job.prefix}.bad-*.jsonl"
    if finished:
        text += f"; {finished} of {job.shards} shards were there already"
    if _nothing_readable(counts):
        text += "; none could be read"
    return text


def _nothing_readable(counts):
    return bool(counts.get("bad images")) and not counts.get("images") and not counts.get("finished shards")


def main():
    arguments, beam_arguments = parse_arguments()
    if not importlib.util.find_spec("apache_beam"):
        raise UserError("Apache Beam is not installed: pip install 'fcis_tf[beam]', or in the repository, make beam")
    direct = arguments.runner == "DirectRunner"
    workers = _check_arguments(arguments, direct)
    # What the DirectRunner has to say is the exception that it ends with.
    import_beam_quietly(logging.CRITICAL if direct else logging.ERROR)
    from fcis_tf.batch_predict.job import Job, prepare
    from fcis_tf.batch_predict.pipeline import run_pipeline

    job = Job(arguments.model, arguments.input, arguments.output, arguments.shards, arguments.min_score)
    prepare(job)
    counts = run_pipeline(job, arguments.runner, workers, beam_arguments)
    print(_summary(job, counts))
    return 1 if _nothing_readable(counts) else 0


if __name__ == "__main__":
    run_program(main)
