"""Prediction on image files by a server."""

import numpy as np

from fcis_tf.errors import UserError
from fcis_tf.inference.instances import Instances
from fcis_tf.inference.photograph import read_photograph
from serving.encode_photograph import encode_photograph
from serving.paste_masks import paste_masks
from serving.prediction_client import PredictionError


class RemotePredictor:
    """Finds the instances in image files as a Predictor does, by asking a server; threads may share it.

    Attributes:
        class_names: {i: the name of class i + 1}, of the classes that were found so far.
    """

    def __init__(self, client, min_score=0.0):
        """Takes a PredictionClient, and the score that instances need to be returned."""
        self.class_names = {}
        self._client = client
        self._min_score = min_score

    def predict_file(self, path):
        """Finds the instances in an image file, the way up that its EXIF data says.

        Args:
            path: of a JPEG, PNG, GIF, BMP or WebP file.

        Returns:
            (the image, [H, W, 3] uint8, RGB; its Instances of NumPy arrays).

        Raises:
            UserError: the file cannot be read, or the server gave no answer for it; the message names the file.
        """
        content = encode_photograph(path)
        try:
            detections = self._client.predict(content)
        except PredictionError as error:
            raise UserError(f"{path}: {error}") from None
        image = read_photograph(path)
        return image, self._instances(detections, *image.shape[:2])

    def _instances(self, detections, height, width):
        found = detections["detection_scores"] >= self._min_score
        found[int(detections["num_detections"]) :] = False
        # The edges of pixels, of which float32 keeps no more than thousandths once they are in 0..1.
        boxes = np.round(detections["detection_boxes"][found] * np.float32([height, width, height, width]), 3)
        masks = paste_masks(detections["detection_masks"][found], boxes, height, width)
        classes = detections["detection_classes"][found].astype(np.int32)
        names = detections["detection_class_entities"][found]
        self.class_names.update((label - 1, name.decode()) for label, name in zip(classes, names, strict=True))
        # Instances have at least one pixel.
        seen = masks.any(axis=(1, 2))
        return Instances(boxes[seen], classes[seen], detections["detection_scores"][found][seen], masks[seen])
