"""Instances of a photograph, with a trained network."""

import tensorflow as tf

from fcis_tf.data import pad_image, prepare_image
from fcis_tf.inference.detector import Detector
from fcis_tf.inference.instances import Instances, render_instances


class Predictor:
    """Finds the instances in images of any size.

    Example:
        predictor = Predictor(trained.model, trained.config)
        instances = predictor.predict(image)
        print([trained.class_names[label - 1] for label in instances.classes])
    """

    def __init__(self, model, config):
        """Takes the network, an FCIS, and its Config, whose sections `data` and `inference` say how to use it."""
        self._detector = Detector(model, config.inference)
        self._config = config

    def predict(self, image):
        """Finds the instances in one image.

        Args:
            image: [H, W, 3] uint8, RGB.

        Returns:
            Instances of NumPy arrays, at the resolution of the image.
        """
        return Instances(*(tensor.numpy() for tensor in self._predict(image)))

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])
    def _predict(self, image):
        resized, _ = prepare_image(image, self._config.data.short_side, self._config.data.long_side)
        size = tf.shape(resized)[:2]
        batch = self._detector(pad_image(resized)[None], size[None])
        detections = {name: values[0] for name, values in batch.items()}
        inference = self._config.inference
        return render_instances(
            detections, size, tf.shape(image)[:2], inference.binary_threshold, inference.threshold_first
        )
