"""From photographs to detections, in the graph."""

import tensorflow as tf

from fcis_tf.data import pad_image, prepare_image
from fcis_tf.inference.detect import detect
from fcis_tf.inference.score_regions import score_regions
from fcis_tf.inference.score_regions_in_views import score_regions_in_views


def find_detections(models, images, config):
    """Finds the detections in images of one size.

    Args:
        models: FCIS, or a list of them, an ensemble: of the same classes and the same P.
        images: [N, H, W, 3] uint8, RGB.
        config: a Config; its sections `data` and `inference` say how images are prepared and detections selected.

    Returns:
        What `detect` returns, in pixels of the images as they are given.
    """
    models = models if isinstance(models, (list, tuple)) else [models]
    data, inference = config.data, config.inference
    prepared, _ = prepare_image(images, data.short_side, data.long_side)
    size = tf.shape(prepared)[1:3]
    sizes = tf.tile(size[None], [tf.shape(prepared)[0], 1])
    if len(models) > 1 or inference.test_scales or inference.horizontal_flip:
        regions = score_regions_in_views(models, images, config)
    else:
        regions = score_regions(models[0], pad_image(prepared), sizes, inference.second_pass)
    detections = detect(regions, sizes, inference)
    scale = tf.cast(tf.shape(images)[1:3], tf.float32) / tf.cast(size, tf.float32)
    return detections | {name: detections[name] * tf.tile(scale, [2]) for name in ("boxes", "rois")}
