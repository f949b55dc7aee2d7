"""Learning-rate factors of layers that only some of the compared systems have."""

import logging

from fcis_tf.model_directory import build_model

_logger = logging.getLogger(__name__)


def without_missing_layers(config):
    """Leaves out the `training.learning_rate.multipliers` of layers of a head that the network does not have.

    The rows of a table share them, and MNC, say, has no score maps; `train` would refuse a factor without a layer.

    Args:
        config: a Config.

    Returns:
        A Config.
    """
    rates = config.training.learning_rate
    # The number of classes changes no layer's name.
    paths = [variable.path for variable in build_model(config, num_classes=1).trainable_variables]
    missing = [key for key in rates.multipliers if key.startswith("head/") and not any(key in path for path in paths)]
    if missing:
        _logger.info(
            "training.learning_rate.multipliers: left out, as there are no such layers: %s", ", ".join(missing)
        )
    kept = {key: factor for key, factor in rates.multipliers.items() if key not in missing}
    rates = rates.model_copy(update={"multipliers": kept})
    return config.model_copy(update={"training": config.training.model_copy(update={"learning_rate": rates})})
