"""Networks with random weights whose outputs vary as much as those of trained ones."""

import keras
import tensorflow as tf

from fcis_tf.model_directory import build_model


def random_network(config, num_classes, seed):
    """Returns an FCIS."""
    keras.utils.set_random_seed(seed)
    model = build_model(config, num_classes)
    maps = model.propose(tf.random.stateless_uniform([1, 96, 96, 3], [seed, 0], -100, 100))
    for layer, values, deviation in (
        (model.rpn.logits, maps["rpn_logits"], 1.0),
        (model.rpn.offsets, maps["rpn_offsets"], 0.2),
        (model.head.score_maps, maps["score_maps"], 3.0),
        (model.head.box_maps, maps["box_maps"], 1.0),
    ):
        layer.kernel.assign(layer.kernel * deviation / tf.math.reduce_std(tf.cast(values, tf.float32)))
    return model
