"""The convolutions of a trunk, and their weights from the arrays of other programs."""

import re
from typing import NamedTuple

from fcis_tf.errors import UserError
from fcis_tf.models.atrous_resnet import EPSILON


class TrunkLayer(NamedTuple):
    """A convolution with its batch normalisation.

    Attributes:
        path: of its variables in our network, without "/conv/kernel", "/norm/gamma" and so on.
        stage: 1 for the stem, 2 to 5 for the stages of residual blocks.
        block: the number of the block in its stage, from 1; 0 for the stem.
        part: "a", "b" or "c" of a block, "projection", or "stem".
        blocks: how many blocks the stage has; 0 for the stem.
    """

    path: str
    stage: int
    block: int
    part: str
    blocks: int


_STAGE = re.compile(r"/conv[1-5](/|$)")
STEM = TrunkLayer("", 1, 0, "stem", 0)


class TrunkArrays(NamedTuple):
    """The names of a layer's arrays in another program's file; bias is None for a convolution without."""

    kernel: str
    bias: str | None
    gamma: str
    beta: str
    mean: str
    variance: str


def trunk_layers(model):
    """Lists the convolutions of an FCIS's trunk, wherever in the network a stage works.

    Args:
        model: FCIS, built.

    Returns:
        A list of TrunkLayer.
    """
    # fcis/backbone/conv4/block1/a/conv/kernel; the RPN has a convolution too.
    suffix = "/conv/kernel"
    paths = [variable.path.removesuffix(suffix) for variable in model.variables if variable.path.endswith(suffix)]
    places = [(path, *path.split("/")[2:]) for path in paths if _STAGE.search(path)]
    blocks = {}
    for _, stage, block, *_ in places:
        blocks.setdefault(stage, set()).add(block)
    return [_layer(path, stage, block, *part, blocks=len(blocks[stage])) for path, stage, block, *part in places]


def trunk_values(model, arrays, names, kernel_axes, epsilon):
    """Takes the weights of a trunk from another program's arrays.

    Args:
        model: FCIS, built.
        arrays: SourceArrays.
        names: function of a TrunkLayer that returns its TrunkArrays.
        kernel_axes: how to transpose their kernels into (height, width, in, out).
        epsilon: of their batch normalisation.

    Returns:
        A dict from paths of variables to NumPy arrays.

    Raises:
        UserError: an array is missing or of another shape.
    """
    shapes = {variable.path: tuple(variable.shape) for variable in model.variables}
    values = {}
    for layer in trunk_layers(model):
        theirs = names(layer)
        shape = shapes[f"{layer.path}/conv/kernel"]
        channels = shape[-1:]
        values[f"{layer.path}/conv/kernel"] = take_kernel(arrays, theirs.kernel, shape, kernel_axes)
        values[f"{layer.path}/norm/gamma"] = arrays.take(theirs.gamma, channels)
        values[f"{layer.path}/norm/beta"] = arrays.take(theirs.beta, channels)
        # Batch normalisation subtracts the mean from the bias as well; ours has an epsilon of its own.
        bias = arrays.take(theirs.bias, channels) if theirs.bias else 0.0
        values[f"{layer.path}/norm/moving_mean"] = arrays.take(theirs.mean, channels) - bias
        variance = arrays.take(theirs.variance, channels) + (epsilon - EPSILON)
        if (variance < 0).any():
            raise UserError(f"{arrays.path}: {theirs.variance} has negative variances")
        values[f"{layer.path}/norm/moving_variance"] = variance
    return values


def take_kernel(arrays, name, shape, axes):
    """Takes a kernel and transposes it; see `trunk_values`.

    Args:
        arrays: SourceArrays.
        name: of the kernel.
        shape: (height, width, in, out) to be had.
        axes: as numpy.transpose takes them.
    """
    theirs = [0] * len(axes)
    for ours, axis in enumerate(axes):
        theirs[axis] = shape[ours]
    return arrays.take(name, theirs).transpose(axes)


def _layer(path, stage, block, part=None, *, blocks):
    number = int(stage.removeprefix("conv"))
    if number == 1:
        return STEM._replace(path=path)
    return TrunkLayer(path, number, int(block.removeprefix("block")), part, blocks)
