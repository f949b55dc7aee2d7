"""Evaluation of a predictor on a data set."""

import tensorflow as tf
from tqdm import tqdm

from fcis_tf.evaluation.coco_metrics import coco_metrics
from fcis_tf.evaluation.voc_metrics import voc_metrics
from fcis_tf.inference import coco_results


def evaluate(predictor, source, config, progress=True):
    """Finds the instances in every image of a data set and compares them with the ground truth.

    Args:
        predictor: a Predictor, or anything with its method `predict`.
        source: the data set, from `load_dataset`, not an endless one.
        config: a Config; its `data.eval` says whether VOC's metric is asked for.
        progress: whether to show a progress bar.

    Returns:
        CocoMetrics, with VOC's metric where the configuration evaluates on VOC's or SBD's masks.
    """
    ground_truth = source.ground_truth()
    results = []
    indices = tf.data.Dataset.range(source.size)
    images = indices.map(source.example, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    for example in tqdm(images, total=source.size, desc="evaluate", unit=" images", disable=not progress):
        instances = predictor.predict(example["image"])
        results += coco_results(instances, int(example["image_id"]), source.category_ids)
    metrics = coco_metrics(results, ground_truth)
    if config.data.eval.format not in ("sbd", "voc"):
        return metrics
    return metrics._replace(voc=voc_metrics(results, ground_truth))
