"""Batch prediction as a Beam pipeline."""

import contextlib
import os
import re
import signal
import threading

import apache_beam as beam
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.runners.runner import create_runner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from fcis_tf.batch_predict.image_reference import find_images, folder_of
from fcis_tf.batch_predict.predict_shard import NAMESPACE, PredictShard
from fcis_tf.batch_predict.worker import worker_command
from fcis_tf.errors import UserError


def run_pipeline(job, runner_name, workers, beam_arguments):
    """Runs a job and waits until it is done.

    Args:
        job: a Job that `prepare` accepts.
        runner_name: of a Beam runner.
        workers: how many processes of this machine, for the DirectRunner; None for any other.
        beam_arguments: list of strings, Beam's own command-line arguments.

    Returns:
        {name: value} of the counters, and under "seconds an image" their mean, but for each process's first; those
        that the runner tells of.

    Raises:
        UserError: there is no such runner or argument, or a file cannot be written.
    """
    options = PipelineOptions(beam_arguments)
    runner = _make_runner(runner_name, workers, options)
    try:
        with _ended_by_lost_workers(), beam.Pipeline(runner, options) as pipeline:
            predict(pipeline, job)
    except Exception as error:
        # In this process Ctrl-C may reach a step, and Beam makes every exception of one a RuntimeError.
        if re.search(r"^(RuntimeError: )?KeyboardInterrupt\b", str(error), re.MULTILINE):
            raise KeyboardInterrupt from None
        # Beam hands on what happened in a worker as text, which ends with the exception.
        found = re.findall(r"UserError: (.*?)(?: \[while running .*)?$", f"UserError: {error}", re.MULTILINE)
        if isinstance(error, UserError) or len(found) > 1:
            raise UserError(found[-1]) from None
        raise
    return _read_metrics(pipeline.result)


def _make_runner(name, workers, options):
    if workers is None:
        options.view_as(StandardOptions).runner = name
        try:
            return create_runner(name)
        except (ImportError, ValueError) as error:
            raise UserError(f"--runner {name}: {error}") from None
    # Others learn from their cluster which arguments there are.
    unknown = options.get_all_options(retain_unknown_options=True).keys() - options.get_all_options().keys()
    if unknown:
        raise UserError(f"--{min(unknown)}: neither an argument of this program nor one of Beam's")
    options.view_as(DirectOptions).direct_num_workers = workers
    environment = SubprocessSDKEnvironment.from_command_string(worker_command(workers)) if workers > 1 else None
    # By its common name Beam would download Prism, another runner, first, which knows nothing of processes.
    return FnApiRunner(environment)


@contextlib.contextmanager
def _ended_by_lost_workers():
    """Within this context the loss of a worker process is an error: Beam would wait for its answer for ever."""
    lost = []

    def notice(arguments):
        if "Worker subprocess exited" in str(arguments.exc_value) and not lost:
            lost.append(True)
            os.kill(os.getpid(), signal.SIGINT)

    before = threading.excepthook
    threading.excepthook = notice
    try:
        yield
    except KeyboardInterrupt:
        if lost:
            raise UserError("a worker was killed, maybe for want of memory; expected fewer --workers") from None
        raise
    finally:
        threading.excepthook = before


def predict(pipeline, job):
    """Adds all steps to a beam.Pipeline."""
    folder = folder_of(job.pattern)
    references = (
        pipeline
        | "Pattern" >> beam.Create([job])
        # Beam writes strings as UTF-8, which not every name is.
        | "Match files" >> beam.FlatMap(lambda job: [(os.fsencode(path), size) for path, size in job.files()])
        | "Spread files" >> beam.Reshuffle()
        | "Find images" >> beam.FlatMapTuple(lambda path, size: find_images(os.fsdecode(path), size, folder))
        | "Choose shards" >> beam.Map(lambda reference: (job.shard_of(reference), reference))
    )
    # A shard without images has files too.
    shards = pipeline | "Shards" >> beam.Create([(shard, None) for shard in range(job.shards)])
    (
        (references, shards)
        | "All shards" >> beam.Flatten()
        | "Group by shard" >> beam.GroupByKey()
        | "Predict" >> beam.ParDo(PredictShard(job))
    )


def _read_metrics(result):
    metrics = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))
    values = {counter.key.metric.name: counter.result for counter in metrics["counters"]}
    for distribution in metrics["distributions"]:
        if distribution.result.count:
            values["seconds an image"] = distribution.result.mean / 1000
    return values
