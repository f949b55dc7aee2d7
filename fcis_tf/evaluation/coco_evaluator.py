"""Evaluation of a predictor on a data set."""

import logging

import tensorflow as tf
from tqdm import tqdm

from fcis_tf.data.ground_truth import restrict_coco
from fcis_tf.data.image_file import describe_data_error
from fcis_tf.data.problems import Problems
from fcis_tf.data.voc_classes import VOC_CLASSES
from fcis_tf.evaluation.coco_metrics import coco_metrics
from fcis_tf.evaluation.voc_metrics import voc_metrics
from fcis_tf.inference import coco_results

_logger = logging.getLogger(__name__)


def evaluate(predictor, source, config, progress=True, always_voc=False):
    """Finds the instances in every image of a data set and compares them with the ground truth.

    An image that cannot be read is left out of both, unless the configuration says `data.strict`.

    Args:
        predictor: a Predictor, or anything with its method `predict`.
        source: the data set, from `load_dataset`, not an endless one.
        config: a Config.
        progress: whether to show a progress bar.
        always_voc: whether to compute VOC's metric for other classes than VOC's twenty too.

    Returns:
        CocoMetrics, with VOC's metric where the classes are VOC's twenty or `always_voc` asks for it.

    Raises:
        UserError: an image cannot be read, and `data.strict` is true or no other image can be read.
    """
    problems = Problems(source.name, config.data.strict)
    image_ids, results = [], []
    for example in tqdm(
        _read_ahead(source, problems), total=source.size, desc="evaluate", unit=" images", disable=not progress
    ):
        instances = predictor.predict(example["image"])
        image_ids.append(int(example["image_id"]))
        results += coco_results(instances, image_ids[-1], source.category_ids)
    ground_truth = source.ground_truth()
    if problems.counts:
        problems.check_something_is_left(image_ids)
        _logger.warning("%s", problems.summary())
        ground_truth = restrict_coco(ground_truth, image_ids)
    metrics = coco_metrics(results, ground_truth)
    if tuple(source.class_names) != VOC_CLASSES and not always_voc:
        return metrics
    return metrics._replace(voc=voc_metrics(results, ground_truth))


def _read_ahead(source, problems):
    """Yields the examples of the images that can be read, while the next ones are read; reports the others."""
    indices = tf.data.Dataset.range(source.size)
    examples = iter(indices.map(source.example, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE))
    for _ in range(source.size):
        try:
            # An iterator goes on behind an error.
            example = next(examples)
        except tf.errors.InvalidArgumentError as error:
            problem = describe_data_error(error)
            if problem is None:
                raise
            problems.report("images that cannot be read", problem)
        else:
            yield example
