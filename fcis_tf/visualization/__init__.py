"""Pictures of what the network finds and how."""

from fcis_tf.visualization.draw_boxes import draw_boxes
from fcis_tf.visualization.draw_instances import draw_instances
from fcis_tf.visualization.draw_score_maps import draw_score_maps

__all__ = ["draw_boxes", "draw_instances", "draw_score_maps"]
