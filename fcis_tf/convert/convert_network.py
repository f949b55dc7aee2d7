"""A network of another program, as a model directory of ours."""

from fcis_tf.config import Config
from fcis_tf.convert.assign import assign
from fcis_tf.convert.chainercv_format import CHAINERCV
from fcis_tf.convert.detector_format import count_classes, detector_values, has_head
from fcis_tf.convert.mxnet_format import MXNET
from fcis_tf.convert.mxnet_params import read_mxnet_params
from fcis_tf.convert.npz_file import NpzFile
from fcis_tf.convert.source_arrays import SourceArrays
from fcis_tf.data.coco_classes import COCO_CLASSES
from fcis_tf.data.voc_classes import VOC_CLASSES
from fcis_tf.errors import UserError
from fcis_tf.model_directory import build_model, describe_run, save_network

SOURCES = {"mxnet": (read_mxnet_params, MXNET), "chainercv": (NpzFile, CHAINERCV)}

_CLASSES = {
    len(VOC_CLASSES): (list(VOC_CLASSES), list(range(1, len(VOC_CLASSES) + 1))),
    len(COCO_CLASSES): (list(COCO_CLASSES.values()), list(COCO_CLASSES)),
}


def convert_network(kind, source, out, config):
    """Writes a model directory with the weights of another program's network.

    Args:
        kind: a key of SOURCES.
        source: path of the file.
        out: path of the model directory, which must not hold a network yet.
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
    read, layout = SOURCES[kind]
    arrays = SourceArrays(read(source), source)
    if not has_head(arrays, layout):
        missing = layout.kernel_name(layout.score_maps)
        raise UserError(f"{source}: holds no FCIS, as it has no {missing}; a trunk alone is loaded by init: {source}")
    count = count_classes(arrays, layout, config.model.group_size)
    if count not in _CLASSES:
        expected = " or ".join(map(str, _CLASSES))
        raise UserError(f"{source}: has score maps of {count} classes; expected {expected}, VOC's or COCO's")
    config = _with_conventions(config, layout.conventions(count))
    model = build_model(config, count)
    assign(model, detector_values(model, arrays, layout))
    class_names, category_ids = _CLASSES[count]
    describe_run(out, config, class_names, category_ids)
    save_network(model, out, config.training)
    left = arrays.left()
    lines = [f"{source}: a network of {count} classes; all {len(model.variables)} variables in {out} are from it"]
    return lines + [f"not used: {', '.join(left)}"] * bool(left)


def _with_conventions(config, conventions):
    values = config.model_dump()
    values["model"] |= conventions | {"proposals": values["model"]["proposals"] | conventions["proposals"]}
    return Config.model_validate(values)
