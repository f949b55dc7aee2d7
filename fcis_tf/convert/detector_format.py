"""FCIS networks of other programs: where their arrays go in ours."""

from collections.abc import Callable
from typing import NamedTuple

from fcis_tf.convert.channel_orders import anchor_offset_order, box_map_order, score_map_order
from fcis_tf.convert.trunk_layers import take_kernel, trunk_values

# Kernels of MXNet and Chainer are (out, in, height, width).
_KERNEL_AXES = (2, 3, 1, 0)
_EPSILON = 1e-5


class DetectorFormat(NamedTuple):
    """How another program names and orders the arrays of an FCIS.

    Attributes:
        trunk_names: function of a TrunkLayer that returns its TrunkArrays.
        kernel_name: function of a convolution's name that returns its kernel's.
        bias_name: function of a convolution's name that returns its bias's.
        rpn_convolution, rpn_logits, rpn_offsets, reduce, score_maps, box_maps: the names of the convolutions.
        rpn_logit_order: function of the number of anchors that returns the order of `rpn_logits`.
        coordinates: the order of a box's offsets, FROM_XYWH or FROM_YXHW.
        is_ignored: function of an array's name: whether it has no place in a network that isn't trained further.
        conventions: function of the number of classes that returns the values of ModelConfig, a dict, with which our
            network computes what the other program does.
    """

    trunk_names: Callable
    kernel_name: Callable
    bias_name: Callable
    rpn_convolution: str
    rpn_logits: str
    rpn_offsets: str
    reduce: str
    score_maps: str
    box_maps: str
    rpn_logit_order: Callable
    coordinates: tuple
    is_ignored: Callable
    conventions: Callable


def has_head(arrays, layout):
    """Returns whether there is a whole FCIS among SourceArrays, rather than a trunk alone."""
    return layout.kernel_name(layout.score_maps) in arrays


def count_classes(arrays, layout, group_size):
    """Returns the number of classes, without the background, that the score maps among SourceArrays are of."""
    return arrays.shape(layout.kernel_name(layout.score_maps))[0] // (2 * group_size**2) - 1


def detector_values(model, arrays, layout):
    """Takes the weights of an FCIS, or of its trunk alone where the file has no more.

    Args:
        model: FCIS, built.
        arrays: SourceArrays.
        layout: DetectorFormat.

    Returns:
        A dict from paths of variables to NumPy arrays.

    Raises:
        UserError: an array is missing or of another shape, or has no place in the network.
    """
    values = trunk_values(model, arrays, layout.trunk_names, _KERNEL_AXES, _EPSILON)
    if has_head(arrays, layout):
        values |= _head_values(model, arrays, layout)
    arrays.ignore_all(layout.is_ignored)
    arrays.check_nothing_left()
    return values


def _head_values(model, arrays, layout):
    anchors, group_size = model.rpn.config["anchors_per_cell"], model.head.config["group_size"]
    # Each convolution of ours with theirs and the order of its channels.
    convolutions = {
        "rpn/conv": (layout.rpn_convolution, None),
        "rpn/logits": (layout.rpn_logits, layout.rpn_logit_order(anchors)),
        "rpn/offsets": (layout.rpn_offsets, anchor_offset_order(anchors, layout.coordinates)),
        "head/reduce": (layout.reduce, None),
        "head/score_maps": (layout.score_maps, score_map_order(model.head.config["num_classes"] + 1, group_size)),
        "head/box_maps": (layout.box_maps, box_map_order(group_size, layout.coordinates)),
    }
    shapes = {variable.path: tuple(variable.shape) for variable in model.variables}
    values = {}
    for path, (name, order) in convolutions.items():
        path = f"{model.name}/{path}"
        shape = shapes[f"{path}/kernel"]
        channels = arrays.shape(layout.kernel_name(name))[0] if name == layout.box_maps else shape[-1]
        kernel = take_kernel(arrays, layout.kernel_name(name), (*shape[:-1], channels), _KERNEL_AXES)
        bias = arrays.take(layout.bias_name(name), [channels])
        values[f"{path}/kernel"] = kernel if order is None else kernel[..., order]
        values[f"{path}/bias"] = bias if order is None else bias[order]
    return values
