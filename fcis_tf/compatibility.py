"""Whether a configuration and a data set go with a trained network."""

from fcis_tf.errors import UserError


def check_same_model(config, config_path, trained_config, model_dir):
    """Checks that a configuration describes the network of a model directory.

    Args:
        config: a Config.
        config_path: where it was read, for the message.
        trained_config: the Config of the model directory.
        model_dir: the model directory, for the message.

    Raises:
        UserError: their sections `model` differ; the message names the first key that does.
    """
    difference = _first_difference(config.model.model_dump(), trained_config.model.model_dump(), "model")
    if difference:
        key, value, trained_value = difference
        raise UserError(f"{config_path}: {key} is {value}, but {trained_value} in the network in {model_dir}")


def check_same_classes(class_names, config_path, trained_class_names, model_dir):
    """Checks that a data set has the classes of a model directory, in the same order.

    Args:
        class_names: of the data set.
        config_path: of the configuration that names the data set, for the message.
        trained_class_names: of the model directory.
        model_dir: the model directory, for the message.

    Raises:
        UserError: they differ; the message names the first difference.
    """
    if len(class_names) != len(trained_class_names):
        raise UserError(
            f"{config_path}: its data set has {len(class_names)} classes, but the network in {model_dir} was trained "
            f"on {len(trained_class_names)}"
        )
    for label, (name, trained_name) in enumerate(zip(class_names, trained_class_names, strict=True), start=1):
        if name != trained_name:
            raise UserError(
                f"{config_path}: class {label} of its data set is '{name}', but that of the network in {model_dir} is "
                f"'{trained_name}'"
            )


def _first_difference(values, others, path):
    """Returns (path of the key, value, other value) of the first difference between two nested dicts, or None."""
    for key, value in values.items():
        where, other = f"{path}.{key}", others[key]
        if isinstance(value, dict):
            if difference := _first_difference(value, other, where):
                return difference
        elif value != other:
            return where, value, other
    return None
