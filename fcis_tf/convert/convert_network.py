"""A network of another program, as a model directory of ours."""

from typing import NamedTuple

from fcis_tf.config import Config
from fcis_tf.convert.assign import assign
from fcis_tf.convert.chainercv_format import CHAINERCV
from fcis_tf.convert.detector_format import count_classes, detector_values, has_head
from fcis_tf.convert.keras_trunk import keras_trunk_values
from fcis_tf.convert.mxnet_format import MXNET
from fcis_tf.convert.mxnet_params import read_mxnet_params
from fcis_tf.convert.npz_file import NpzFile
from fcis_tf.convert.source_arrays import SourceArrays
from fcis_tf.convert.trunk_layers import STEM
from fcis_tf.data import load_dataset
from fcis_tf.data.coco_classes import COCO_CLASSES
from fcis_tf.data.voc_classes import VOC_CLASSES
from fcis_tf.errors import UserError
from fcis_tf.model_directory import build_model, describe_run, save_network

_FORMATS = {"mxnet": (read_mxnet_params, MXNET), "chainercv": (NpzFile, CHAINERCV)}
KINDS = (*_FORMATS, "keras")


class _Classes(NamedTuple):
    names: list
    ids: list


# By their number.
_CLASSES = {
    len(VOC_CLASSES): _Classes(list(VOC_CLASSES), list(range(1, len(VOC_CLASSES) + 1))),
    len(COCO_CLASSES): _Classes(list(COCO_CLASSES.values()), list(COCO_CLASSES)),
}


def convert_network(kind, source, out, config):
    """Writes a model directory with the weights of another program's network.

    A file of a trunk alone makes a network for the classes of `data.train` whose other weights are random.

    Args:
        kind: one of KINDS.
        source: path of the file.
        out: path of the model directory, which must not be there yet.
        config: the Config that it is to be used with; its anchors have to be those of the network. The conventions of
            the other program replace its own.

    Returns:
        A list of lines that say what was loaded and what was not.

    Raises:
        UserError: the file cannot be read or is of another network than the configuration describes, or the directory
            cannot be written.
    """
    if out.exists():
        raise UserError(f"{out}: exists already; name another directory")
    if kind == "keras":
        return _convert_keras_trunk(source, out, config)
    read, layout = _FORMATS[kind]
    arrays = SourceArrays(read(source), source)
    if has_head(arrays, layout):
        if config.model.head != "inside_outside":
            raise UserError(f"{source}: a whole FCIS, but model.head is {config.model.head}; expected inside_outside")
        count = count_classes(arrays, layout, config.model.group_size)
        if count not in _CLASSES:
            expected = " or ".join(map(str, _CLASSES))
            raise UserError(f"{source}: has score maps of {count} classes; expected {expected}, VOC's or COCO's")
        classes = _CLASSES[count]
        config = _with_conventions(config, layout.conventions(count))
    else:
        # Of a file of something else this says so, before the data are asked for.
        arrays.shape(layout.trunk_names(STEM).kernel)
        classes = _classes_of_data(config)
        config = _with_conventions(config, {"stem_padding": "end"})
    model = build_model(config, len(classes.names))
    return _save(model, detector_values(model, arrays, layout), out, config, classes)


def _convert_keras_trunk(source, out, config):
    config = _with_conventions(config, {"stem_padding": "both"})
    classes = _classes_of_data(config)
    model = build_model(config, len(classes.names))
    return _save(model, keras_trunk_values(model, config.model, source), out, config, classes)


def _save(model, values, out, config, classes):
    assign(model, values)
    describe_run(out, config, classes.names, classes.ids)
    save_network(model, out)
    count = len(model.variables)
    lines = [f"{out}: a network of {len(classes.names)} classes, {len(values)} of whose {count} variables were loaded"]
    if len(values) < count:
        lines.append(f"{out}: the others are random, as the file has a trunk alone: train it by init: {out}")
    return lines


def _with_conventions(config, conventions):
    values = config.model_dump()
    proposals = values["model"]["proposals"] | conventions.get("proposals", {})
    values["model"] |= conventions | {"proposals": proposals}
    # What training begins with from now on is this very network.
    values |= {"init": None, "init_classes": {}}
    return Config.model_validate(values)


def _classes_of_data(config):
    source = load_dataset(config.data, "train")
    return _Classes(source.class_names, source.category_ids)
