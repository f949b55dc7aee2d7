"""The learning rate over time, by hand."""

import pytest

from fcis_tf.training.learning_rate import PiecewiseConstantWithWarmup


@pytest.mark.parametrize(
    "step, expected", [(0, 0.1), (1, 0.1), (9, 0.1), (10, 0.01), (19, 0.01), (20, 0.001), (1_000_000, 0.001)]
)
def test_falls_at_every_boundary(step, expected):
    schedule = PiecewiseConstantWithWarmup((0.1, 0.01, 0.001), (10, 20))
    assert float(schedule(step)) == pytest.approx(expected)


@pytest.mark.parametrize("step, expected", [(0, 0.01), (1, 0.028), (3, 0.064), (5, 0.1), (6, 0.1), (10, 0.05)])
def test_rises_linearly_before(step, expected):
    schedule = PiecewiseConstantWithWarmup((0.1, 0.05), (10,), warmup_steps=5, warmup_start=0.01)
    assert float(schedule(step)) == pytest.approx(expected)


def test_one_value_holds_for_ever():
    assert float(PiecewiseConstantWithWarmup((0.3,), ())(10**7)) == pytest.approx(0.3)


def test_round_trips_through_its_configuration():
    schedule = PiecewiseConstantWithWarmup((0.1, 0.05), (10,), warmup_steps=5, warmup_start=0.01)
    assert PiecewiseConstantWithWarmup.from_config(schedule.get_config()).get_config() == schedule.get_config()
