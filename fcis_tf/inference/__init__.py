"""From a trained network to instances."""

from fcis_tf.inference.coco_results import coco_results
from fcis_tf.inference.detect import detect
from fcis_tf.inference.detector import Detector
from fcis_tf.inference.instances import Instances, render_instances
from fcis_tf.inference.paste_masks import paste_masks
from fcis_tf.inference.predictor import Predictor

__all__ = ["Detector", "Instances", "Predictor", "coco_results", "detect", "paste_masks", "render_instances"]
