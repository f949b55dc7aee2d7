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

    def find(prepared, sizes):
        regions = score_regions(model, pad_image(prepared), sizes, config.inference.second_pass)
        return detect(regions, sizes, config.inference)

    return find_in_photographs(find, images, config.data)


def find_in_photographs(find, images, data_config):
    """Prepares images of one size, finds the detections in them, and brings these back to the images' own pixels.

    Args:
        find: a function of prepared images [N, h, w, 3] float32 and their sizes [N, 2] int32 that returns what `detect`
            returns.
        images: [N, H, W, 3] uint8, RGB.
        data_config: a DataConfig, which says how images are prepared.

    Returns:
        What `detect` returns, in pixels of the images as they are given.
    """
    prepared, _ = prepare_image(images, data_config.short_side, data_config.long_side)
    size = tf.shape(prepared)[1:3]
    detections = find(prepared, tf.tile(size[None], [tf.shape(prepared)[0], 1]))
    scale = tf.cast(tf.shape(images)[1:3], tf.float32) / tf.cast(size, tf.float32)
    return detections | {name: detections[name] * tf.tile(scale, [2]) for name in ("boxes", "rois")}
