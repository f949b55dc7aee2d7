"""Dynamic loss scaling, without which small gradients would vanish in float16 (Micikevicius et al. 2018)."""

import keras
import tensorflow as tf

_INITIAL = 2.0**15
SMALLEST = 1.0
# After so many steps without an overflow a larger factor is tried.
_GROWTH_STEPS = 2000


class LossScale:
    """A factor on the loss that keeps gradients within the range of float16.

    It is halved whenever a gradient overflows, and doubled after 2,000 steps without an overflow.

    Attributes:
        factor: float32 keras.Variable, the present one.
        variables: list of keras.Variable, the state.
    """

    def __init__(self):
        self.factor = keras.Variable(_INITIAL, name="loss_scale", trainable=False)
        self._steps = keras.Variable(0, dtype="int32", name="loss_scale_steps", trainable=False)
        self.variables = [self.factor, self._steps]

    def update(self, finite):
        """Adapts the factor after a step whose gradients were finite, or not: a bool scalar."""
        steps = self._steps + 1
        grows = finite & (steps >= _GROWTH_STEPS)
        change = tf.where(finite, tf.where(grows, 2.0, 1.0), 0.5)
        self.factor.assign(tf.maximum(self.factor * change, SMALLEST))
        self._steps.assign(tf.where(finite & ~grows, steps, 0))
