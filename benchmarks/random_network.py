"""A network of random weights whose activations are as large as those of a trained one."""

import keras
import tensorflow as tf

from fcis_tf.model_directory import build_model
from fcis_tf.models.fused_batch_normalization import FusedBatchNormalization


def make_network(config, classes, images):
    """Makes an FCIS of random weights, seed 0.

    Args:
        config: a Config.
        classes: how many, without the background.
        images: [N, H, W, 3] float32, prepared images, for the statistics.

    Returns:
        An FCIS whose batch normalisation has these images' statistics, and whose score maps, if its head has them, have
        the size that trained ones have.
    """
    keras.utils.set_random_seed(0)
    model = build_model(config, classes)
    set_statistics(model, images)
    maps = model.propose(images)
    if "score_maps" in maps:
        deviation = tf.math.reduce_std(tf.cast(maps["score_maps"], tf.float32))
        model.head.score_maps.kernel.assign(model.head.score_maps.kernel * 2 / deviation)
    return model


def set_statistics(model, images):
    """Sets the moving statistics of the trunk's batch normalisation to those of a batch of images."""
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, FusedBatchNormalization)]
    settings = [(layer.trainable, layer.momentum) for layer in layers]
    for layer in layers:
        layer.trainable, layer.momentum = True, 0.0
    model.backbone(images, training=True)
    for layer, (trainable, momentum) in zip(layers, settings, strict=True):
        layer.trainable, layer.momentum = trainable, momentum
