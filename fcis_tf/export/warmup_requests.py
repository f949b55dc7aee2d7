"""The requests that TensorFlow Serving calls a model with before it offers it."""

import math
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

# Where TensorFlow Serving looks for them in a SavedModel.
WARMUP_FILE = Path("assets.extra", "tf_serving_warmup_requests")


def write_warmup_requests(savedmodel_dir, max_pixels):
    """Writes a request for each signature, so that the first user does not wait for the graph to be optimised.

    Args:
        savedmodel_dir: directory of the SavedModel.
        max_pixels: of how many pixels at most an image may be.
    """
    image = _photograph(max_pixels)
    requests = {"serving_default": {"image_bytes": [_as_jpeg(image)]}, "serve_tensor": {"images": image[None]}}
    path = Path(savedmodel_dir, WARMUP_FILE)
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests.items():
            request = predict_pb2.PredictRequest()
            # Servers replace the name by that under which they offer the model.
            request.model_spec.name = "default"
            request.model_spec.signature_name = signature
            for name, values in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString(deterministic=True))


def _photograph(max_pixels):
    """Returns [480, 640, 3] uint8, or less where that is too much: smooth colours, which JPEG makes small."""
    rows, columns = np.mgrid[:480, :640]
    image = np.stack([rows * 255 // 479, columns * 255 // 639, (rows + columns) // 5], axis=-1).astype(np.uint8)
    side = math.isqrt(max_pixels)
    return image if image[..., 0].size <= max_pixels else image[:side, :side]


def _as_jpeg(image):
    return tf.io.encode_jpeg(image, quality=90).numpy()
