"""The step that all the time goes into: the images of a shard to its files."""

import logging
import time
from collections import Counter

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.utils.shared import Shared

from fcis_tf.batch_predict.image_reference import BadImage, match_files, read_image, tell_apart
from fcis_tf.batch_predict.saved_detector import SavedDetector
from fcis_tf.batch_predict.shard_files import ShardFiles, is_finished, results_path
from fcis_tf.errors import UserError
from fcis_tf.export.servable_file import servable_file
from fcis_tf.inference import Instances, coco_results
from fcis_tf.printable import printable

NAMESPACE = "fcis_tf"
# Seconds between lines that say how far a shard is.
_REPORT_EVERY = 10

_logger = logging.getLogger(__name__)


class PredictShard(beam.DoFn):
    """Writes the results of (shard, its references), and nothing where they are there already.

    An element is a whole shard, so that each is written once, in order, and is kept from then on, whatever becomes of
    the others. RunInference would stand between an image and its file: it hands over batches of stacked tensors, loads
    with keras.models.load_model, which Keras 3 refuses for a SavedModel, and lets a whole batch fail with an image.
    """

    def __init__(self, job):
        """Takes the Job."""
        self._job = job
        # One network in a process, however many threads it has.
        self._shared = Shared()
        self._detector, self._is_warm = None, False
        self._images, self._instances, self._bad_images, self._finished_shards = (
            Metrics.counter(NAMESPACE, name) for name in ("images", "instances", "bad images", "finished shards")
        )
        self._milliseconds = Metrics.distribution(NAMESPACE, "milliseconds an image")

    def process(self, shard_and_references):
        """Predicts a shard."""
        shard, references = shard_and_references
        files = self._job.prefix, shard, self._job.shards
        if is_finished(*files):
            self._finished_shards.inc()
            return
        references = sorted(
            tell_apart([r for r in references if r]), key=lambda r: (r.name, r.path, r.offset or 0, r.problem or "")
        )
        numbers = Counter(reference.number for reference in references)
        if references and not self._detector:
            self._detector = self._shared.acquire(lambda: SavedDetector(self._job.model))
        progress = _Progress(results_path(*files), len(references))
        with ShardFiles(*files) as writer:
            for reference in references:
                image_id = reference.number if numbers[reference.number] == 1 else None
                self._predict(reference, reference.name if image_id is None else image_id, writer)
                progress.advance()
        prefix, _, shards = files
        done = len(match_files(f"{prefix}-*-of-{shards:05d}.jsonl"))
        _logger.info("%s: %d of %d shards done", prefix, done, shards)

    def _predict(self, reference, image_id, writer):
        start = time.monotonic()
        try:
            contents = read_image(reference)
            instances = self._detector.find(servable_file(contents, reference.name))
        except (BadImage, UserError) as error:
            writer.write_bad(reference.name, printable(str(error).removeprefix(f"{reference.name}: ")))
            self._bad_images.inc()
            return
        instances = Instances(*(values[instances.scores >= self._job.min_score] for values in instances))
        results = coco_results(instances, image_id, self._detector.category_ids)
        writer.write_results([{**result, "file_name": reference.name} for result in results])
        self._images.inc()
        self._instances.inc(len(results))
        # The first image of a process waits for what is made ready only once.
        if self._is_warm:
            self._milliseconds.update(int((time.monotonic() - start) * 1000))
        self._is_warm = True


class _Progress:
    """Says every few seconds how far a shard is: tqdm's bars of several processes would overwrite each other."""

    def __init__(self, name, total):
        self._name, self._total, self._done = name, total, 0
        self._reported, self._first = time.monotonic(), None

    def advance(self):
        self._done += 1
        now = time.monotonic()
        if now - self._reported >= _REPORT_EVERY or self._done == self._total:
            self._reported = now
            # The first image of a process waits for what is made ready only once.
            speed = f", {(now - self._first) / (self._done - 1):.2f} seconds each" if self._first else ""
            _logger.info("%s: %d of %d images%s", self._name, self._done, self._total, speed)
        self._first = self._first or now
