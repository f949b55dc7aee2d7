"""Instances of a photograph, with a trained network or several."""

import contextlib

import tensorflow as tf

from fcis_tf.inference.find_detections import find_detections
from fcis_tf.inference.frozen_weights import frozen_weights
from fcis_tf.inference.instances import Instances, render_instances
from fcis_tf.inference.photograph import read_photograph


class Predictor:
    """Finds the instances in images of any size; all share one compiled graph.

    Example:
        predictor = Predictor(trained.model, trained.config)
        instances = predictor.predict(image)
        print([trained.class_names[label - 1] for label in instances.classes])
    """

    def __init__(self, models, config, freeze=False, mask_proposals=None):
        """Makes a predictor; its graph is compiled with the first image.

        Args:
            models: FCIS, or a list of them, whose outputs are averaged; see `find_detections`.
            config: the Config whose sections `data` and `inference` say how to use it.
            freeze: whether to take the weights as they are at the first image, for ever. Every image is then faster,
                and the first one slower: worth it for some dozens of images. Without it, a network that is still
                trained is used as it is at each image.
            mask_proposals: a TrainedModel, the InstanceFCN whose masks an R-FCN classifies; None for other networks.
        """
        self._models = models if isinstance(models, (list, tuple)) else [models]
        self._config = config
        self._freeze = freeze
        self._mask_proposals = mask_proposals

    def predict(self, image):
        """Finds the instances in one image.

        Args:
            image: [H, W, 3] uint8, RGB.

        Returns:
            Instances of NumPy arrays, at the resolution of the image.
        """
        return Instances(*(tensor.numpy() for tensor in self._predict(image)))

    def predict_file(self, path):
        """Finds the instances in an image file, the way up that its EXIF data says.

        Args:
            path: of a JPEG, PNG, GIF, BMP or WebP file.

        Returns:
            (the image, [H, W, 3] uint8, RGB; its Instances of NumPy arrays).

        Raises:
            UserError: the file cannot be read; the message names it.
        """
        image = read_photograph(path)
        return image, self.predict(image)

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])
    def _predict(self, image):
        proposers = [self._mask_proposals.model] if self._mask_proposals else []
        with frozen_weights(*self._models, *proposers) if self._freeze else contextlib.nullcontext():
            batch = find_detections(self._models, image[None], self._config, self._mask_proposals)
        detections = {name: values[0] for name, values in batch.items()}
        return render_instances(detections, tf.shape(image)[:2], self._config.inference)
