"""Sums of gradients over the passes of a step."""

import tensorflow as tf


class GradientSums:
    """Each replica's own sums of gradients.

    Made within a strategy's scope; the other methods are called within its replicas. Between steps the sums are zero,
    so that no checkpoint needs them.

    Args:
        variables: what the gradients are of.
    """

    def __init__(self, variables):
        self._sums = [
            tf.Variable(
                tf.zeros(variable.shape, variable.dtype),
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.SUM,
            )
            for variable in variables
        ]

    def add(self, gradients):
        """Adds the gradients of a pass."""
        for total, gradient in zip(self._sums, gradients, strict=True):
            total.assign_add(gradient)

    def finish(self, gradients):
        """Returns the sums with the gradients of a step's last pass, and begins anew."""
        # Read before they are set to zero, which automatic control dependencies see to.
        sums = [total.read_value() + gradient for total, gradient in zip(self._sums, gradients, strict=True)]
        for total in self._sums:
            total.assign(tf.zeros_like(total))
        return sums
