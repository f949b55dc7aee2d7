"""Endless data sets, cut to a number of examples that can be looked at."""

_SCENES = 200


def limit_endless(data_config):
    """Returns a DataConfig whose endless data set for training, of rendered scenes, ends after the first 200."""
    if data_config.train.format != "digits" or data_config.train.scenes:
        return data_config
    return data_config.model_copy(update={"train": data_config.train.model_copy(update={"scenes": _SCENES})})
