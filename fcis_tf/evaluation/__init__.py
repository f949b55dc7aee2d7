"""How well a trained network does."""

from fcis_tf.evaluation.coco_evaluator import evaluate
from fcis_tf.evaluation.coco_metrics import CocoMetrics, coco_metrics
from fcis_tf.evaluation.metrics_table import metrics_table
from fcis_tf.evaluation.voc_metrics import instance_map, voc_metrics

__all__ = ["CocoMetrics", "coco_metrics", "evaluate", "instance_map", "metrics_table", "voc_metrics"]
