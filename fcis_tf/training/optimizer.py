"""Stochastic gradient descent with the paper's per-parameter learning rates and weight decay (FCIS section 4)."""

import keras
import tensorflow as tf

from fcis_tf.errors import UserError
from fcis_tf.training.learning_rate import PiecewiseConstantWithWarmup


class Optimizer:
    """Applies gradients with momentum, weight decay on kernels, and learning rate factors by variable.

    Weight decay is added to the gradient, as the SGD that the paper's figures were made with does; the decay built
    into Keras's optimisers is decoupled from momentum and would be weaker by the factor 1 / (1 - momentum).

    Args:
        config: a `fcis_tf.config.TrainingConfig`.
        variables: the variables to train.

    Raises:
        UserError: a key of `learning_rate.multipliers` is in no variable's path.
    """

    def __init__(self, config, variables):
        self.variables = variables
        self.schedule = PiecewiseConstantWithWarmup(**config.learning_rate.model_dump(exclude={"multipliers"}))
        self.sgd = keras.optimizers.SGD(self.schedule, momentum=config.momentum, name="sgd")
        self.sgd.build(variables)
        self._clip_norm = config.gradient_clip_norm
        self._decays = [config.weight_decay if v.path.endswith("/kernel") else 0.0 for v in variables]
        self._factors = [_factor(v.path, config.learning_rate.multipliers) for v in variables]
        for key in config.learning_rate.multipliers:
            if not any(key in v.path for v in variables):
                raise UserError(f"training.learning_rate.multipliers: no trained variable's path contains '{key}'")

    def apply(self, gradients):
        """Updates the variables.

        Args:
            gradients: of the loss, in the order of `variables`.

        Returns:
            The gradients' global norm before clipping, scalar float32.
        """
        norm = tf.linalg.global_norm(gradients)
        if self._clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self._clip_norm, norm)
        # With SGD a factor on the gradient is a factor on the learning rate.
        scaled = [
            factor * (gradient + decay * variable.value) if decay else factor * gradient
            for gradient, variable, decay, factor in zip(
                gradients, self.variables, self._decays, self._factors, strict=True
            )
        ]
        self.sgd.apply(scaled, self.variables)
        return norm


def _factor(path, multipliers):
    factor = 1.0
    for key, value in multipliers.items():
        if key in path:
            factor *= value
    return factor
