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
    logits = model(prepared[None])["class_logits"].numpy()
    means, deviation = logits.mean(axis=(0, 1)), (logits - logits.mean(axis=(0, 1))).std()
    # Logits are proportional to the kernel, and shifted by what a class's biases have in common.
    layer, scale = model.head.score_maps, spread / deviation
    layer.kernel.assign(layer.kernel * scale)
    layer.bias.assign(np.tile(np.repeat(-means * scale, 2), config.model.group_size**2))
    names = [f"class {i}" for i in range(1, num_classes + 1)]
    return TrainedModel(model, config, names, [10 * i for i in range(1, num_classes + 1)], step=7)
