"""How well a trained network does."""

from fcis_tf.evaluation.coco_evaluator import evaluate
from fcis_tf.evaluation.coco_metrics import CocoMetrics, coco_metrics
from fcis_tf.evaluation.metrics_table import metrics_table

__all__ = ["CocoMetrics", "coco_metrics", "evaluate", "metrics_table"]
