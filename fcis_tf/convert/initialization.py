"""The weights that training begins with."""

from collections import Counter
from pathlib import Path

import numpy as np

from fcis_tf.convert.assign import assign
from fcis_tf.convert.detector_format import detector_values, has_head
from fcis_tf.convert.keras_trunk import SUFFIXES, keras_trunk_values
from fcis_tf.convert.mxnet_format import MXNET
from fcis_tf.convert.mxnet_params import SUFFIX as MXNET_SUFFIX
from fcis_tf.convert.mxnet_params import read_mxnet_params
from fcis_tf.convert.source_arrays import SourceArrays
from fcis_tf.errors import UserError
from fcis_tf.model_directory import load_trained


def initialize(model, config, class_names):
    """Sets the variables of a network as `init` says; those that it has no weights for keep their random ones.

    Args:
        model: FCIS, built, with random weights.
        config: the Config.
        class_names: of labels 1 to C, as the network is to learn them.

    Returns:
        A list of lines: what was loaded, what was not and why. Empty without `init`.

    Raises:
        UserError: the weights cannot be read, or nothing of them fits.
    """
    init = config.init
    if config.init_classes and (init is None or not Path(init).is_dir()):
        raise UserError(f"init_classes: expected init to name a model directory, found {init!r}")
    if init is None:
        return []
    reasons, conventions = {}, []
    if init == "imagenet" or init.endswith(SUFFIXES):
        values = keras_trunk_values(model, config.model, None if init == "imagenet" else init)
    elif init.endswith(MXNET_SUFFIX):
        values = _values_of_mxnet_trunk(model, config)
    else:
        values, reasons, conventions = _values_of_directory(model, config, class_names)
    if not values:
        raise UserError(f"init: {init}: nothing of this network fits: {'; '.join(_described(reasons))}")
    assign(model, values)
    fresh = [name for name in class_names if name not in config.init_classes]
    random = Counter(_part(variable.path) for variable in model.variables if variable.path not in values)
    lines = [f"init: {init}: loaded {len(values)} of the network's {len(model.variables)} variables"]
    lines += [f"init: {init}: not loaded: {line}" for line in _described(reasons)]
    lines += [f"init: {init}: {line}" for line in conventions]
    if config.init_classes:
        pairs = ", ".join(f"{mine} as {theirs}" for mine, theirs in config.init_classes.items())
        lines.append(f"init: {init}: classes that begin {pairs}; at random: {', '.join(fresh) or 'none'}")
    if random:
        parts = ", ".join(f"{part} ({count})" for part, count in random.items())
        lines.append(f"init: random as before: {parts}")
    return lines


def _values_of_mxnet_trunk(model, config):
    arrays = SourceArrays(read_mxnet_params(config.init), config.init)
    if has_head(arrays, MXNET):
        raise UserError(f"init: {config.init}: a whole FCIS; python -m fcis_tf.convert makes a model directory of it")
    if config.model.stem_padding != "end":
        raise UserError(f"init: {config.init}: was trained with model.stem_padding: end; set it so")
    return detector_values(model, arrays, MXNET)


def _values_of_directory(model, config, class_names):
    """Returns the values that fit, by path; for each other path of either network why it doesn't; and other lines."""
    if not Path(config.init).is_dir():
        suffixes = ", ".join((*SUFFIXES, MXNET_SUFFIX))
        expected = f"imagenet, a file of a trunk's weights ({suffixes}) or a model directory"
        raise UserError(f"init: {config.init}: no such directory; expected {expected}")
    trained = load_trained(config.init)
    classes = _class_sources(class_names, trained.class_names, config.init_classes, config.init)
    theirs = {variable.path: variable.numpy() for variable in trained.model.variables}
    values, reasons = {}, {}
    for variable in model.variables:
        path, shape = variable.path, tuple(variable.shape)
        value = theirs.pop(path, None)
        layout = model.head.class_channels.get(path.split("/")[2]) if "/head/" in path else None
        if value is not None and layout:
            value, reason = _values_of_classes(variable.numpy(), value, layout, classes, len(trained.class_names))
        elif value is None:
            reason = "is not in it"
        else:
            reason = f"has shape {list(value.shape)} there, not {list(shape)}"
        if value is not None and value.shape == shape:
            values[path] = value
        else:
            reasons[path] = reason
    _drop_halves_of_layers(values, reasons)
    reasons |= {path: "has no place here" for path in theirs}
    return values, reasons, _differing_conventions(config.model, trained.config.model)


def _drop_halves_of_layers(values, reasons):
    """Leaves out what fits of a layer of which something else does not: a bias is nothing without its kernel."""
    partly = {_layer(path): reason for path, reason in reasons.items()}
    for path in [path for path in values if _layer(path) in partly]:
        del values[path]
        reasons[path] = partly[_layer(path)]


def _layer(path):
    return path.rsplit("/", 1)[0]


def _differing_conventions(model, trained):
    """Returns a line for each key of ModelConfig by which the loaded weights mean something else here."""
    keys = ("anchor_scales", "anchor_ratios", "round_anchors", "stem_padding", "round_rois", "box_target_stds")
    pairs = {f"model.{key}": (getattr(model, key), getattr(trained, key)) for key in keys}
    pairs |= {
        f"model.proposals.{key}": (getattr(model.proposals, key), getattr(trained.proposals, key))
        for key in ("rank_by", "min_size", "whole_cells_only")
    }
    return [
        f"attention: {key} is {ours}, but was {theirs} when these weights were trained"
        for key, (ours, theirs) in pairs.items()
        if ours != theirs
    ]


def _class_sources(names, their_names, init_classes, init):
    """Returns for each of our labels, from the background on, the label there that it begins as, or None."""
    for mine, other in init_classes.items():
        if mine not in names:
            raise UserError(f"init_classes: {mine} is not a class of the data; those are {', '.join(names)}")
        if other not in their_names:
            raise UserError(f"init_classes: {other} is not a class of {init}; those are {', '.join(their_names)}")
    if names == their_names and not init_classes:
        return list(range(len(names) + 1))
    if not init_classes:
        return [None] * (len(names) + 1)
    labels = {name: label for label, name in enumerate(their_names, start=1)}
    return [0, *(labels.get(init_classes.get(name)) for name in names)]


def _values_of_classes(ours, theirs, layout, classes, their_count):
    """Returns ours with the channels, laid out as ClassChannels say, of the classes there too, or (None, why not)."""
    if all(source is None for source in classes):
        return None, "is of other classes (init_classes can name like ones)"
    first = layout.first
    # [..., cells, classes, values]
    ours = ours.reshape(*ours.shape[:-1], -1, len(classes) - first, layout.values)
    theirs = theirs.reshape(*theirs.shape[:-1], -1, their_count + 1 - first, layout.values)
    if ours.shape[:-2] != theirs.shape[:-2]:
        return None, "is for another group_size or head_channels"
    here = [label for label, source in enumerate(classes) if label >= first and source is not None]
    theirs = theirs[..., [classes[label] - first for label in here], :]
    ours[..., [label - first for label in here], :] = theirs
    return np.reshape(ours, (*ours.shape[:-3], -1)), None


def _described(reasons):
    """Returns a line for each part of the network and reason."""
    counts = Counter((_part(path), reason) for path, reason in reasons.items())
    return [f"{part} {reason} ({count})" for (part, reason), count in counts.items()]


def _part(path):
    """Returns the part of the network that a variable belongs to, such as backbone/conv4 or head/score_maps."""
    return "/".join(path.split("/")[1:3])
