"""From a trained network to a SavedModel that TensorFlow Serving serves."""

from fcis_tf.export.decode_image_bytes import MAX_SIDE, decode_image_bytes
from fcis_tf.export.savedmodel import check_destination, export_savedmodel
from fcis_tf.export.serving_outputs import serving_output_specs, serving_outputs
from fcis_tf.export.serving_signatures import ServingOptions, serving_signatures

__all__ = [
    "MAX_SIDE",
    "ServingOptions",
    "check_destination",
    "decode_image_bytes",
    "export_savedmodel",
    "serving_output_specs",
    "serving_outputs",
    "serving_signatures",
]
