"""From photographs to detections, in the graph."""

import tensorflow as tf

from fcis_tf.data import pad_image, prepare_image
from fcis_tf.inference.detect import detect
from fcis_tf.inference.mask_proposals import score_mask_proposals
from fcis_tf.inference.score_regions import score_regions
from fcis_tf.inference.score_regions_in_views import score_regions_in_views


def find_detections(models, images, config, mask_proposals=None):
    """Finds the detections in images of one size.

    Args:
        models: FCIS, or a list of them, an ensemble: of the same classes and the same P.
        images: [N, H, W, 3] uint8, RGB.
        config: a Config; its sections `data` and `inference` say how images are prepared and detections selected.
        mask_proposals: what has an InstanceFCN, `model`, and its Config, `config`, where the network is R-FCN; else
            None.

    Returns:
        What `detect` returns, in pixels of the images as they are given.
    """
    models = models if isinstance(models, (list, tuple)) else [models]
    inference = config.inference

    def find(prepared, sizes):
        if mask_proposals:
            regions = score_mask_proposals(mask_proposals, models[0], images, prepared, sizes)
        elif len(models) > 1 or inference.test_scales or inference.horizontal_flip:
            regions = score_regions_in_views(models, images, config)
        else:
            regions = score_regions(models[0], pad_image(prepared), sizes, inference.second_pass)
        return detect(regions, sizes, inference)

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
