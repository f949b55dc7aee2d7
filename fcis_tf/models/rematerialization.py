"""Gradient checkpointing: activations that are computed again for the backward pass, not kept (Chen et al. 2016)."""

import functools
import itertools

import tensorflow as tf

from fcis_tf.models.fused_batch_normalization import keeping_moving_statistics


def rematerialized(call):
    """Decorates the `call(self, x, training)` of a layer.

    Of a layer whose attribute `rematerialize` is true, training keeps the input alone; the backward pass computes
    everything between input and output a second time. Outputs, gradients and moving statistics are the same.
    """

    @functools.wraps(call)
    def wrapped(self, x, training=False):
        if not (self.rematerialize and training):
            return call(self, x, training)
        passes = itertools.count()

        def compute(x):
            with keeping_moving_statistics(next(passes) > 0):
                return call(self, x, training)

        return tf.recompute_grad(compute)(x)

    return wrapped
