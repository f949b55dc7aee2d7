"""How much memory a training step takes, told before the first one."""

import dataclasses
import functools
import itertools
import logging
import math
from pathlib import Path

import tensorflow as tf

from fcis_tf.data.pipeline import training_scales
from fcis_tf.data.preparation import SIZE_MULTIPLE
from fcis_tf.models import FCIS
from fcis_tf.training.gradient_memory import gradient_memory

_logger = logging.getLogger(__name__)

# TensorFlow's allocator gives a tensor a larger piece of memory where it has no piece of its size.
_ALLOCATED = 1.1
# Gradients, and what the update computes from them before any of it is freed.
_UPDATE = 2.25


@dataclasses.dataclass(frozen=True)
class MemoryEstimate:
    """Bytes on one device at the fullest moment of a training step.

    Attributes:
        weights: all variables of the network.
        momentum: of the trained variables.
        gradients: those that are there at that moment, and the sums that gradient accumulation keeps.
        activations: what the layers keep for the backward pass.
        score_maps: the score maps and their gradient.
        workspace: everything else.
    """

    weights: int = 0
    momentum: int = 0
    gradients: int = 0
    activations: int = 0
    score_maps: int = 0
    workspace: int = 0

    @property
    def peak(self):
        """The sum of all."""
        return sum(dataclasses.astuple(self))


@dataclasses.dataclass(frozen=True)
class _Part:
    """A part of the network that is differentiated as a whole; bytes.

    kept and peak are those of a GradientMemory; repeated is the peak if it is computed a second time, for which only
    the output, of `output` bytes, is kept.
    """

    kept: int
    peak: int
    gradients: int
    output: int = 0
    repeated: int = 0


@dataclasses.dataclass(frozen=True)
class _Network:
    """All parts of a network in a training step; bytes.

    Attributes:
        images: of the batch.
        trunk: list of the trunk's _Parts that gradients pass through, from the first.
        rpn, head: _Part each.
        score_maps: of the batch; as much again is their gradient.
        weights: of all variables.
    """

    images: int
    trunk: list
    rpn: _Part
    head: _Part
    score_maps: int
    weights: int

    @property
    def gradients(self):
        """Of all trained variables."""
        return sum(part.gradients for part in (*self.trunk, self.rpn, self.head))


def log_memory_estimate(config, num_classes, images, accumulation_steps=1):
    """Logs what a training step takes, with a warning if the machine has not as much.

    Args:
        config: a Config.
        num_classes: C, without the background.
        images: how many a device computes at once.
        accumulation_steps: how many times it does so for one update.
    """
    estimate, with_rematerialization = estimate_memory(config, num_classes, images, accumulation_steps)
    _logger.info("%s", describe(estimate, with_rematerialization, config, images))
    shortage = describe_shortage(estimate, free_memory())
    if shortage:
        _logger.warning("%s", shortage)


def estimate_memory(config, num_classes, images, accumulation_steps=1):
    """Computes what a training step takes on one device; the arguments are those of `log_memory_estimate`.

    The images are taken to be of the largest usual size: `data.short_side` x `data.long_side`, or a crop of
    `data.crop_size`. One of each kind of the network's parts is made and traced, with its gradient; then a step is
    followed from the end of the forward pass to the update, and its fullest moment reported. Not to be called within
    the scope of a distribution strategy, nor between the setting of Keras's random seed and what depends on it.

    Returns:
        Two MemoryEstimates: of the network as it is, and with `model.rematerialize`.
    """
    height, width = largest_image(config.data)
    network = _trace_network(config, num_classes, (images, height, width, 3))
    repeated = network
    if not config.model.rematerialize:
        trunk = [dataclasses.replace(part, kept=part.output, peak=part.repeated) for part in network.trunk]
        repeated = dataclasses.replace(network, trunk=trunk)
    return tuple(
        max(_moments(each, config.training.momentum, accumulation_steps), key=lambda moment: moment.peak)
        for each in (network, repeated)
    )


def largest_image(data_config):
    """Returns (height, width) in pixels of the largest landscape image of a training batch, its padding included."""
    sizes = [
        # See `training_batches`: what is enlarged is cropped.
        [min(side, data_config.crop_size) for side in scale] if scale[0] > data_config.short_side else scale
        for scale in training_scales(data_config)
    ]
    return tuple(math.ceil(side / SIZE_MULTIPLE) * SIZE_MULTIPLE for side in max(sizes, key=math.prod))


def free_memory():
    """Returns the bytes that this machine has left for training on its CPU; None where it trains on a GPU."""
    if tf.config.list_logical_devices("GPU"):
        # TensorFlow tells what it has taken, not what there is.
        return None
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def describe(estimate, with_rematerialization, config, images):
    """Returns a line: how much, of what, for which images, and what `model.rematerialize` would change."""
    height, width = largest_image(config.data)
    parts = ", ".join(
        f"{name.replace('_', ' ')} {size / 1e9:.2f}" for name, size in dataclasses.asdict(estimate).items() if size
    )
    size = f"{images} image{'s' if images > 1 else ''} of {height} x {width}"
    line = f"memory: about {estimate.peak / 1e9:.1f} GB a device for {size}: {parts}"
    if config.model.rematerialize:
        return line
    return f"{line}; model.rematerialize=true would make it {with_rematerialization.peak / 1e9:.1f}"


def describe_shortage(estimate, free):
    """Returns a line that says what to do if an estimate is more than the free bytes, else None.

    Args:
        estimate: MemoryEstimate.
        free: bytes, or None where nobody knows.
    """
    if free is None or estimate.peak <= free:
        return None
    return (
        f"memory: training needs about {estimate.peak / 1e9:.1f} GB, but {free / 1e9:.1f} GB are free; "
        "model.rematerialize=true, more training.accumulation_steps, fewer training.images_per_step, "
        "model.precision=mixed_bfloat16 or a smaller data.short_side take less"
    )


def _moments(network, momentum, accumulation_steps):
    """Yields the MemoryEstimates of the backward pass, part by part, and of the update."""
    before = MemoryEstimate(
        weights=network.weights,
        momentum=network.gradients if momentum else 0,
        gradients=network.gradients if accumulation_steps > 1 else 0,
    )
    rpn, head = network.rpn, network.head
    below = [*itertools.accumulate((part.kept for part in network.trunk), initial=network.images)]
    gradients = 0
    # The RPN's gradient needs nothing that comes later, so it is computed early.
    for part, kept in (
        (rpn, below[-1] + head.kept),
        (head, below[-1]),
        *reversed([*zip(network.trunk, below, strict=False)]),
    ):
        score_maps = network.score_maps if part is head else 0
        yield _sum(
            before,
            gradients=_ALLOCATED * (gradients + part.gradients),
            activations=_ALLOCATED * (kept + part.kept - score_maps),
            score_maps=_ALLOCATED * 2 * score_maps,
            workspace=_ALLOCATED * max(part.peak - part.kept - part.gradients - score_maps, 0),
        )
        gradients += part.gradients
    yield _sum(before, gradients=network.gradients, workspace=(_UPDATE - 1) * network.gradients)


def _sum(before, **changes):
    return dataclasses.replace(before, **{key: int(getattr(before, key) + value) for key, value in changes.items()})


def _trace_network(config, num_classes, shape):
    """Returns the _Network for batches of images of a shape."""
    model = FCIS(config.model, num_classes)
    trunk, conv4, conv5, weights = _trace_trunk(model.backbone, shape)
    for part, features in ((model.rpn, conv4), (model.head, conv5)):
        part.build(features.shape)

    def run_head(features, rois, labels):
        return model.head.assemble(model.head(features, training=True), rois, labels, training=True)

    targets = config.training.roi_targets
    rois = config.model.proposals.after_nms if targets.selection == "ohem" else targets.rois_per_image
    rois = [tf.TensorSpec([shape[0], rois, 4]), tf.TensorSpec([shape[0], rois], tf.int32)]
    cells = math.prod(conv5.shape[:3])
    return _Network(
        images=math.prod(shape) * 4,
        trunk=trunk,
        rpn=_trace(model.rpn, model.rpn, [conv4]),
        head=_trace(model.head, run_head, [conv5, *rois]),
        score_maps=cells * model.head.score_map_channels * conv5.dtype.size,
        weights=weights + _bytes_of_variables(model.rpn.variables + model.head.variables),
    )


def _trace_trunk(trunk, shape):
    """Returns the _Parts that gradients pass through, conv4 and the last stage as tf.TensorSpecs, and the weights'
    bytes.
    """
    parts, outputs, kinds, weights = [], [], {}, 0
    features = tf.TensorSpec(shape)
    for stage in (trunk.conv1, *trunk.stages):
        for block in stage.layers if stage in trunk.stages else [stage]:
            # Blocks of a stage with inputs of the same shape are alike.
            kind = stage.name, features.shape
            if kind not in kinds:
                kinds[kind] = _trace_block(block, features, bool(parts))
            part, features, size = kinds[kind]
            weights += size
            parts += [part] if part else []
        outputs.append(features)
    return parts, outputs[3], outputs[-1], weights


def _trace_block(block, features, learns):
    """Makes a block's variables and traces it.

    Args:
        block: a layer of the trunk.
        features: tf.TensorSpec, its input.
        learns: whether gradients pass through its input.

    Returns:
        Its _Part, or None if no gradient passes through it; its output as a tf.TensorSpec; the bytes of its weights.
    """
    block.build(features.shape)
    output = tf.TensorSpec(block.compute_output_shape(tuple(features.shape)), block.compute_dtype)
    part = None
    if learns or block.trainable_variables:
        part = _trace(block, functools.partial(block, training=True), [features])
        # Recomputation begins with a copy of the input.
        part = dataclasses.replace(part, output=_size(output), repeated=part.peak + _size(features))
    return part, output, _bytes_of_variables(block.variables)


def _trace(layer, function, inputs):
    variables = layer.trainable_variables
    memory = gradient_memory(function, inputs, [variable.value for variable in variables])
    return _Part(memory.kept, memory.peak, _bytes_of_variables(variables))


def _size(tensor):
    return tensor.shape.num_elements() * tensor.dtype.size


def _bytes_of_variables(variables):
    return sum(math.prod(variable.shape) * tf.as_dtype(variable.dtype).size for variable in variables)
