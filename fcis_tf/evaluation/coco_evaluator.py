"""Evaluation of a detector on a data set."""

from tqdm import tqdm

from fcis_tf.data import evaluation_batches
from fcis_tf.evaluation.coco_metrics import coco_metrics
from fcis_tf.evaluation.voc_metrics import voc_metrics
from fcis_tf.inference import Instances, coco_results, instance_renderer


def evaluate(detector, source, config, progress=True, batch_size=1):
    """Finds the instances in every image of a data set and compares them with the ground truth.

    Args:
        detector: a Detector, or any function of `images` [N, H, W, 3] and `image_sizes` [N, 2] that returns detections
            as `detect` does.
        source: the data set, from `load_dataset`.
        config: a Config; its sections `data` and `inference` say how images and masks are treated.
        progress: whether to show a progress bar.
        batch_size: images for one call of the detector. They are padded to the largest of them.

    Returns:
        CocoMetrics, with VOC's metric where the configuration evaluates on VOC's or SBD's masks.
    """
    ground_truth = source.ground_truth()
    render = instance_renderer(config.inference.binary_threshold, config.inference.threshold_first)
    results = []
    with tqdm(total=len(ground_truth.imgs), desc="evaluate", unit=" images", disable=not progress) as bar:
        for batch in evaluation_batches(source, config.data, batch_size):
            for image_id, instances in _instances_of_batch(detector, batch, render):
                results += coco_results(instances, image_id, source.category_ids)
                bar.update()
    metrics = coco_metrics(results, ground_truth)
    if config.data.eval.format not in ("sbd", "voc"):
        return metrics
    return metrics._replace(voc=voc_metrics(results, ground_truth))


def _instances_of_batch(detector, batch, render):
    """Yields the id and the Instances of each image of a batch."""
    detections = detector(batch["images"], batch["image_sizes"])
    for i, image_id in enumerate(batch["image_ids"].numpy().tolist()):
        of_image = {name: values[i] for name, values in detections.items()}
        instances = render(of_image, batch["image_sizes"][i], batch["original_sizes"][i])
        yield image_id, Instances(*(tensor.numpy() for tensor in instances))
