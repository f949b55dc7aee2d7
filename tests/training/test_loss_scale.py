"""Loss scaling: by hand, and in an optimiser whose gradients overflow."""

import numpy as np
import pytest
import tensorflow as tf

from fcis_tf.training.loss_scale import LossScale
from fcis_tf.training.optimizer import Optimizer
from tests.training.test_optimizer import make_config, make_layers


def test_halves_at_an_overflow_and_doubles_after_2000_steps_without():
    scale = LossScale()
    update = tf.function(scale.update)
    found = []
    for steps, finite in ((1, False), (1999, True), (1, True), (1500, True), (1, False), (1999, True), (1, True)):
        for _ in range(steps):
            update(tf.constant(finite))
        found.append(float(scale.factor))
    start = 2.0**15
    assert found == [start / 2, start / 2, start, start, start / 2, start / 2, start]


def test_is_never_below_one():
    scale = LossScale()
    for _ in range(20):
        scale.update(tf.constant(False))
    assert float(scale.factor) == 1.0


def test_a_scaled_loss_changes_no_update():
    changes = []
    for precision in ("float32", "mixed_float16"):
        variables = make_layers()
        before = [variable.numpy() for variable in variables]
        optimizer = Optimizer(make_config(), variables, precision)
        factor = float(optimizer.scale_loss(tf.constant(1.0)))
        assert (factor == 1.0) == (precision == "float32")
        gradients = [tf.fill(variable.shape, 0.5 * factor) for variable in variables]
        norm = optimizer.apply(gradients)
        assert float(norm) == pytest.approx(0.5 * np.sqrt(sum(tf.size(gradient).numpy() for gradient in gradients)))
        changes.append([variable.numpy() - old for variable, old in zip(variables, before, strict=True)])
    for change, expected in zip(*changes, strict=True):
        assert np.any(change)
        np.testing.assert_allclose(change, expected, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_step_that_overflows_changes_nothing_but_the_scale(bad):
    variables = make_layers()
    optimizer = Optimizer(make_config(), variables, "mixed_float16")
    apply = tf.function(optimizer.apply)
    apply([tf.ones(variable.shape) for variable in variables])
    state = [*variables, *optimizer.variables]
    before = {variable.path: variable.numpy() for variable in state}
    norm = apply([tf.fill(variable.shape, np.float32(bad if i == 1 else 1)) for i, variable in enumerate(variables)])
    assert not np.isfinite(norm)
    for variable in state:
        if variable.path == "loss_scale":
            assert variable.numpy() == before[variable.path] / 2
        elif variable.path == "loss_scale_steps":
            assert variable.numpy() == 0 and before[variable.path] == 1
        else:
            np.testing.assert_array_equal(variable, before[variable.path], err_msg=variable.path)
