"""Memory of a function and its gradient, from the graph that TensorFlow makes of it, without running anything."""

import dataclasses

import tensorflow as tf

# Outputs of these are their first input, or memory that is there in any case.
_ALIASES = {"Identity", "IdentityN", "Reshape", "Squeeze", "ExpandDims", "StopGradient", "PreventGradient"}
_NO_MEMORY = {"Placeholder", "ReadVariableOp", "Const"}
# These write to the memory of an input that nothing else needs.
_IN_PLACE = {"Relu", "ReluGrad", "AddV2", "AddN", "Mul", "BiasAdd", "Neg", "Sub", "FusedBatchNormGradV3"}


@dataclasses.dataclass(frozen=True)
class GradientMemory:
    """Bytes of tensors, inputs and variables not among them.

    Attributes:
        kept: what the forward pass leaves for the backward pass, outputs included.
        peak: the most that is there at once in the backward pass, what was kept and the gradients included.
    """

    kept: int
    peak: int


def gradient_memory(function, inputs, variables):
    """Traces a function with its gradient and follows the lifetimes of the tensors.

    Args:
        function: of tensors, which returns tensors.
        inputs: list of tf.TensorSpec of known shapes; gradients are computed for those of floating point.
        variables: the list of variables to compute gradients for.

    Returns:
        A GradientMemory. Tensors whose shapes are unknown before anything runs count nothing.
    """
    forward_operations = []

    def both(*inputs):
        sources = [x for x in inputs if x.dtype.is_floating]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            outputs = tf.nest.flatten(function(*inputs))
        forward_operations.extend(tf.compat.v1.get_default_graph().get_operations())
        return outputs, tape.gradient(outputs, [*sources, *variables])

    graph = tf.function(both, input_signature=inputs, autograph=False).get_concrete_function().graph
    return _follow(graph.get_operations(), len(forward_operations))


def _follow(operations, forward_count):
    """Returns the GradientMemory of operations in the order in which they run, the first so many forward."""
    # Tensors are known by the tensor whose memory they are in.
    memory_of, size_of, last_use = {}, {}, {}
    for position, operation in enumerate(operations):
        inputs = [memory_of[x.ref()] for x in operation.inputs]
        for owner in inputs:
            last_use[owner] = position
        for i, output in enumerate(operation.outputs):
            key = output.ref()
            if operation.type in _ALIASES:
                memory_of[key] = inputs[i]
            else:
                memory_of[key] = key
                size_of[key] = 0 if operation.type in _NO_MEMORY else _size(output)
                last_use[key] = position
    current = peak = kept = 0
    freed_at = {}
    for owner, position in last_use.items():
        freed_at.setdefault(position, []).append(owner)
    for position, operation in enumerate(operations):
        if position == forward_count:
            kept = current
        made = 0 if operation.type in _ALIASES else sum(size_of[x.ref()] for x in operation.outputs)
        dying = sum(size_of[owner] for owner in freed_at.get(position, ()))
        in_place = operation.type in _IN_PLACE and dying >= made
        current += made
        if position >= forward_count:
            peak = max(peak, current - (made if in_place else 0))
        current -= dying
    return GradientMemory(kept, max(peak, kept))


def _size(tensor):
    count = tensor.shape.num_elements()
    return count * tensor.dtype.size if count and tensor.dtype.size else 0
