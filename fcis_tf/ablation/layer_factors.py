"""Learning-rate factors of layers that only some of the compared systems have."""

import logging

from fcis_tf.ablation.comparison import RowConfigs
from fcis_tf.errors import UserError
from fcis_tf.model_directory import build_model

_logger = logging.getLogger(__name__)


def with_common_factors(configs):
    """Leaves out, for all rows, the `training.learning_rate.multipliers` of a head's layers that not all rows have.

    MNC, say, has no score maps: a factor for them would favour the other rows.

    Args:
        configs: {name of a row: RowConfigs}.

    Returns:
        The same with fewer factors.

    Raises:
        UserError: there is a factor for a layer of the head that no row has.
    """
    networks = [config for row in configs.values() for config in row if config is not None]
    # The rows share them.
    keys = [key for key in networks[0].training.learning_rate.multipliers if key.startswith("head/")]
    if not keys:
        return configs
    different = {config.model.model_dump_json(exclude={"backbone"}): config for config in networks}
    paths_of_networks = [_paths(config) for config in different.values()]
    for key in keys:
        if not any(_is_in(key, paths) for paths in paths_of_networks):
            raise UserError(f"training.learning_rate.multipliers: no row of the table has a layer '{key}'")
    left_out = [key for key in keys if not all(_is_in(key, paths) for paths in paths_of_networks)]
    if not left_out:
        return configs
    _logger.info(
        "training.learning_rate.multipliers: left out for all rows, as not all have these layers: %s",
        ", ".join(left_out),
    )
    return {
        name: RowConfigs(*(config and _without(config, left_out) for config in row)) for name, row in configs.items()
    }


def _paths(config):
    """Returns the paths of a network's variables, with a small backbone: those of the head do not depend on it."""
    small = config.model_copy(update={"model": config.model.model_copy(update={"backbone": "resnet18"})})
    return [variable.path for variable in build_model(small, num_classes=1).trainable_variables]


def _is_in(key, paths):
    return any(key in path for path in paths)


def _without(config, keys):
    rates = config.training.learning_rate
    kept = {key: factor for key, factor in rates.multipliers.items() if key not in keys}
    rates = rates.model_copy(update={"multipliers": kept})
    return config.model_copy(update={"training": config.training.model_copy(update={"learning_rate": rates})})
