"""A network of random weights that nevertheless finds things."""

import keras
import numpy as np
import tensorflow as tf

from fcis_tf.data import prepare_image
from fcis_tf.model_directory import TrainedModel, build_model


def confident_model(config, num_classes, image, spread=3.0):
    """Makes a network whose class logits differ as much as a trained one's.

    Args:
        config: a Config.
        num_classes: C.
        image: [H, W, 3] uint8, to measure them on.
        spread: the standard deviation that the logits of a class get between regions.

    Returns:
        A TrainedModel, whose class i is named "class i".
    """
    keras.utils.set_random_seed(0)
    model = build_model(config, num_classes)
    prepared, _ = prepare_image(tf.constant(image), config.data.short_side, config.data.long_side)
    # Maps are proportional to the kernels, as long as there are no biases.
    _scale(model.rpn.offsets, 0.2 / np.std(model(prepared[None])["rpn_offsets"]))
    outputs = model(prepared[None])
    logits = outputs["class_logits"].numpy()[outputs["rois_valid"]]
    # Logits are shifted by what the biases of a class have in common.
    layer, scale = model.head.score_maps, spread / (logits - logits.mean(axis=0)).std()
    _scale(layer, scale)
    layer.bias.assign(np.tile(np.repeat(-logits.mean(axis=0) * scale, 2), config.model.group_size**2))
    names = [f"class {i}" for i in range(1, num_classes + 1)]
    return TrainedModel(model, config, names, [10 * i for i in range(1, num_classes + 1)], step=7)


def _scale(layer, factor):
    layer.kernel.assign(layer.kernel * factor)
