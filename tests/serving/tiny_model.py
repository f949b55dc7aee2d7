"""A SavedModel with the signatures of an exported detector, that finds one thing: the bright rectangle of an image."""

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from fcis_tf.data.exif_orientation import read_orientation, turn_upright

MAX_PIXELS = 1_000_000
MAX_DETECTIONS = 100
MASK_SIZE = 4
CLASS_NAMES = ("cat", "dog")


class BrightRectangle(tf.Module):
    """Finds the rectangle around all pixels of 200 and more, as a "dog" with a score of 0.75.

    Its mask has all cells of the rectangle but those of the right column. An image without such pixels has a "cat" of
    score 0.25 in its whole.
    """

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve_bytes(self, image_bytes):
        """Finds the rectangle in encoded images."""
        return tf.map_fn(lambda content: _detect(_decode(content)), image_bytes, fn_output_signature=_OUTPUTS)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
    def serve_pixels(self, images):
        """Finds the rectangle in images."""
        return tf.map_fn(_detect, images, fn_output_signature=_OUTPUTS)


def export_tiny_model(path, warm_up_image=None):
    """Writes the model.

    Args:
        path: its directory, that of a version.
        warm_up_image: an encoded image for a warm-up request.
    """
    model = BrightRectangle()
    signatures = {"serving_default": model.serve_bytes, "serve_tensor": model.serve_pixels}
    tf.saved_model.save(model, str(path), signatures=signatures)
    if warm_up_image is not None:
        log = prediction_log_pb2.PredictionLog()
        request = log.predict_log.request
        request.model_spec.signature_name = "serving_default"
        request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([warm_up_image]))
        requests = path / "assets.extra" / "tf_serving_warmup_requests"
        requests.parent.mkdir()
        with tf.io.TFRecordWriter(str(requests)) as writer:
            writer.write(log.SerializeToString())


_OUTPUTS = {
    "num_detections": tf.TensorSpec([]),
    "detection_boxes": tf.TensorSpec([MAX_DETECTIONS, 4]),
    "detection_classes": tf.TensorSpec([MAX_DETECTIONS]),
    "detection_scores": tf.TensorSpec([MAX_DETECTIONS]),
    "detection_masks": tf.TensorSpec([MAX_DETECTIONS, MASK_SIZE, MASK_SIZE]),
    "detection_class_entities": tf.TensorSpec([MAX_DETECTIONS], tf.string),
}


def _decode(content):
    image = tf.io.decode_image(content, channels=3, expand_animations=False)
    image = tf.ensure_shape(turn_upright(image, read_orientation(content)), [None, None, 3])
    pixels = tf.shape(image)[0] * tf.shape(image)[1]
    with tf.control_dependencies([tf.debugging.Assert(pixels <= MAX_PIXELS, ["too many pixels:", pixels])]):
        return tf.identity(image)


def _detect(image):
    bright = tf.reduce_all(image >= 200, axis=-1)
    found = tf.reduce_any(bright)
    places = tf.where(bright | ~found)
    corners = tf.concat([tf.reduce_min(places, axis=0), tf.reduce_max(places, axis=0) + 1], axis=0)
    box = tf.cast(corners, tf.float32) / tf.tile(tf.cast(tf.shape(image)[:2], tf.float32), [2])
    mask = tf.constant([[1.0] * (MASK_SIZE - 1) + [0.0]] * MASK_SIZE)
    detection = {
        "detection_boxes": box,
        "detection_classes": tf.where(found, 2.0, 1.0),
        "detection_scores": tf.where(found, 0.75, 0.25),
        "detection_masks": mask,
        "detection_class_entities": tf.where(found, CLASS_NAMES[1], CLASS_NAMES[0]),
    }
    padded = {
        name: tf.concat([value[None], tf.zeros([MAX_DETECTIONS - 1, *value.shape], value.dtype)], axis=0)
        for name, value in detection.items()
        if value.dtype != tf.string
    }
    names = tf.concat([detection["detection_class_entities"][None], tf.fill([MAX_DETECTIONS - 1], "")], axis=0)
    padded = {name: tf.ensure_shape(value, _OUTPUTS[name].shape) for name, value in padded.items()}
    return {"num_detections": tf.constant(1.0), "detection_class_entities": names, **padded}
