"""Stochastic gradient descent with the paper's per-parameter learning rates and weight decay (FCIS section 4)."""

import keras
import tensorflow as tf

from fcis_tf.errors import UserError
from fcis_tf.training.learning_rate import effective_schedule
from fcis_tf.training.loss_scale import LossScale


class Optimizer:
    """Sums gradients over the replicas and applies them with momentum, weight decay on kernels, and learning rate
    factors by variable.

    Weight decay is added to the gradient, as the SGD that the paper's figures were made with does; the decay built
    into Keras's optimisers is decoupled from momentum and would be weaker by the factor 1 / (1 - momentum).

    Made within a strategy's scope, as the variables are.

    Args:
        config: a `fcis_tf.config.TrainingConfig`.
        trained_variables: the variables to train.
        precision: of the network; with "mixed_float16" the loss is scaled, and a step whose gradients overflow is left
            out.

    Attributes:
        loss_scale: a LossScale, or None.
        variables: keras.Variables that hold the state.

    Raises:
        UserError: a key of `learning_rate.multipliers` is in no variable's path.
    """

    def __init__(self, config, trained_variables, precision="float32"):
        self.loss_scale = LossScale() if precision == "mixed_float16" else None
        self._trained_variables = trained_variables
        self._strategy = tf.distribute.get_strategy()
        self._sgd = _SGDOfSums(effective_schedule(config), momentum=config.momentum, name="sgd")
        self._sgd.build(trained_variables)
        self.variables = [*self._sgd.variables, *(self.loss_scale.variables if self.loss_scale else [])]
        self._clip_norm = config.gradient_clip_norm
        self._decays = [config.weight_decay if v.path.endswith("/kernel") else 0.0 for v in trained_variables]
        self._factors = [_factor(v.path, config.learning_rate.multipliers) for v in trained_variables]
        for key in config.learning_rate.multipliers:
            if not any(key in v.path for v in trained_variables):
                raise UserError(f"training.learning_rate.multipliers: no trained variable's path contains '{key}'")

    @property
    def learning_rate(self):
        """That of the next step, scalar float32."""
        return self._sgd.learning_rate

    def scale_loss(self, loss):
        """Returns the loss to differentiate, whose gradients `apply` takes."""
        return loss * self.loss_scale.factor if self.loss_scale else loss

    def apply(self, gradients):
        """Updates the variables; called outside of the replicas.

        Args:
            gradients: of the scaled loss of each replica, in the order of the variables.

        Returns:
            The global norm, before clipping, of their sum over the replicas, scalar float32.
        """
        gradients, norms = self._strategy.run(self._sum_over_replicas, (gradients,))
        norm = self._strategy.experimental_local_results(norms)[0]
        if self.loss_scale:
            finite = tf.math.is_finite(norm)
            tf.cond(finite, lambda: self._update(gradients, norms), lambda: None)
            self.loss_scale.update(finite)
        else:
            self._update(gradients, norms)
        return norm

    def _sum_over_replicas(self, gradients):
        sums = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        if self.loss_scale:
            sums = [gradient / self.loss_scale.factor for gradient in sums]
        return sums, tf.linalg.global_norm(sums)

    def _update(self, gradients, norms):
        self._strategy.run(self._update_of_replica, (gradients, norms))

    def _update_of_replica(self, gradients, norm):
        if self._clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self._clip_norm, norm)
        # TensorFlow computes whatever can be computed. What needs no gradient, as large as all variables, would else be
        # there from the beginning of the step to its end.
        with tf.control_dependencies([norm]):
            # With SGD a factor on the gradient is a factor on the learning rate.
            scaled = [
                factor * (gradient + decay * variable.value) if decay else factor * gradient
                for gradient, variable, decay, factor in zip(
                    gradients, self._trained_variables, self._decays, self._factors, strict=True
                )
            ]
            self._sgd.apply(scaled, self._trained_variables)


@keras.saving.register_keras_serializable("fcis_tf")
class _SGDOfSums(keras.optimizers.SGD):
    """Keras's SGD for gradients that have been summed over the replicas, as their global norm needs it."""

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return grads_and_vars


def _factor(path, multipliers):
    factor = 1.0
    for key, value in multipliers.items():
        if key in path:
            factor *= value
    return factor
