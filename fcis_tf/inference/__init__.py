"""From a trained network to instances."""

from fcis_tf.inference.coco_results import coco_results
from fcis_tf.inference.detect import detect
from fcis_tf.inference.detector import Detector
from fcis_tf.inference.find_detections import find_detections
from fcis_tf.inference.frozen_weights import frozen_weights
from fcis_tf.inference.instances import Instances, instance_renderer, render_instances
from fcis_tf.inference.mask_voting import mask_voting
from fcis_tf.inference.predictor import Predictor
from fcis_tf.inference.score_regions import score_regions

__all__ = [
    "Detector",
    "Instances",
    "Predictor",
    "coco_results",
    "detect",
    "find_detections",
    "frozen_weights",
    "instance_renderer",
    "mask_voting",
    "render_instances",
    "score_regions",
]
