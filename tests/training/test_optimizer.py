"""The optimiser against stochastic gradient descent in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fcis_tf.config import TrainingConfig
from fcis_tf.errors import UserError
from fcis_tf.training.optimizer import Optimizer

RATES, BOUNDARIES = (0.1, 0.02), (3,)


def make_layers():
    """Variables like those of the network: kernels, biases, and scale and shift of a normalisation."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(3, name="reduce"), keras.layers.BatchNormalization(name="norm")]
    for layer, shape in zip(layers, ((None, 4), (None, 3)), strict=True):
        layer.build(shape)
    return [variable for layer in layers for variable in layer.trainable_variables]


def make_config(**changes):
    learning_rate = {"values": RATES, "boundaries": BOUNDARIES, "multipliers": changes.pop("multipliers", {})}
    return TrainingConfig.model_validate({"learning_rate": learning_rate} | changes)


def numpy_sgd(values, gradients_of_steps, momentum, decays, factors, clip_norm):
    """SGD as Caffe and MXNet have it: weight decay joins the gradient, momentum sums up steps."""
    values = [value.copy() for value in values]
    velocities = [np.zeros_like(value) for value in values]
    for step, gradients in enumerate(gradients_of_steps):
        rate = RATES[0] if step < BOUNDARIES[0] else RATES[1]
        norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients))
        scale = min(1.0, clip_norm / norm) if clip_norm else 1.0
        for i, gradient in enumerate(gradients):
            full = scale * gradient + decays[i] * values[i]
            velocities[i] = momentum * velocities[i] - rate * factors[i] * full
            values[i] += velocities[i]
    return values


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"momentum": 0.0},
        {"weight_decay": 0.0},
        {"weight_decay": 0.1, "gradient_clip_norm": 2.0},
        {"multipliers": {"reduce": 3.0, "bias": 0.5}, "weight_decay": 0.1},
    ],
)
def test_equals_numpy(changes):
    variables = make_layers()
    config = make_config(**changes)
    names = [variable.path for variable in variables]
    assert names == ["reduce/kernel", "reduce/bias", "norm/gamma", "norm/beta"]
    decays = [config.weight_decay, 0, 0, 0]
    multiplied = {"reduce/kernel": 3.0, "reduce/bias": 1.5} if "multipliers" in changes else {}
    factors = [multiplied.get(name, 1.0) for name in names]
    rng = np.random.default_rng(0)
    gradients = [[rng.normal(size=variable.shape).astype(np.float32) for variable in variables] for _ in range(6)]
    expected = numpy_sgd(
        [v.numpy() for v in variables], gradients, config.momentum, decays, factors, config.gradient_clip_norm
    )

    optimizer = Optimizer(config, variables)
    for of_step in gradients:
        norm = optimizer.apply([tf.constant(gradient) for gradient in of_step])
        assert float(norm) == pytest.approx(np.sqrt(sum((gradient**2).sum() for gradient in of_step)), rel=1e-5)
    for variable, values in zip(variables, expected, strict=True):
        np.testing.assert_allclose(variable, values, rtol=1e-4, atol=1e-6)


def test_a_factor_of_no_variable_is_a_mistake_in_the_configuration():
    with pytest.raises(UserError, match="^training.learning_rate.multipliers: .*'haed'"):
        Optimizer(make_config(multipliers={"reduce": 2.0, "haed": 3.0}), make_layers())
