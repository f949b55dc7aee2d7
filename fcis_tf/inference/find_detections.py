"""From photographs to detections, in the graph."""

import tensorflow as tf

from fcis_tf.data import pad_image, prepare_image
from fcis_tf.inference.detect import detect
from fcis_tf.inference.score_regions import score_regions


def find_detections(model, images, config):
    """Finds the detections in images of one size.

    Args:
        model: FCIS.
        images: [N, H, W, 3] uint8, RGB.
        config: a Config; its sections `data` and `inference` say how images are prepared and detections selected.

    Returns:
        What `detect` returns, in pixels of the images as they are given.
    """
    prepared, _ = prepare_image(images, config.data.short_side, config.data.long_side)
    size = tf.shape(prepared)[1:3]
    sizes = tf.tile(size[None], [tf.shape(prepared)[0], 1])
    regions = score_regions(model, pad_image(prepared), sizes, config.inference.second_pass)
    detections = detect(regions, sizes, config.inference)
    scale = tf.cast(tf.shape(images)[1:3], tf.float32) / tf.cast(size, tf.float32)
    return detections | {name: detections[name] * tf.tile(scale, [2]) for name in ("boxes", "rois")}
