"""The network together with the selection of its detections, compiled."""

import tensorflow as tf

from fcis_tf.inference.detect import detect
from fcis_tf.inference.score_regions import score_regions


class Detector:
    """Finds the detections in batches of prepared images.

    Images of every size share one compiled graph. The network sees each image once, as it is: whether it is used at
    several scales or mirrored too concerns `find_detections` only.
    """

    def __init__(self, model, inference_config):
        """Takes the network, an FCIS, and how to select its detections, an InferenceConfig."""
        self._model = model
        self._inference_config = inference_config

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32), tf.TensorSpec([None, 2], tf.int32)])
    def __call__(self, images, image_sizes):
        """Finds the detections in a batch.

        Args:
            images: [N, H, W, 3] float32, prepared as for training and padded.
            image_sizes: [N, 2] int32, their heights and widths without the padding.

        Returns:
            What `detect` returns.
        """
        regions = score_regions(self._model, images, image_sizes, self._inference_config.second_pass)
        return detect(regions, image_sizes, self._inference_config)
