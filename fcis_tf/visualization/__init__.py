"""Pictures of what the network sees, what it finds, and how."""

from fcis_tf.visualization.draw_boxes import draw_boxes
from fcis_tf.visualization.draw_instances import draw_instances
from fcis_tf.visualization.draw_score_maps import draw_score_maps
from fcis_tf.visualization.draw_training_example import draw_training_example
from fcis_tf.visualization.lay_out_page import lay_out_page
from fcis_tf.visualization.write_picture import write_picture

__all__ = [
    "draw_boxes",
    "draw_instances",
    "draw_score_maps",
    "draw_training_example",
    "lay_out_page",
    "write_picture",
]
