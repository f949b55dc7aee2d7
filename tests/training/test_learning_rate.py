"""The learning rate over time, by hand."""

import pytest

from fcis_tf.config import TrainingConfig
from fcis_tf.training.learning_rate import PiecewiseConstantWithWarmup, effective_schedule


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


@pytest.mark.parametrize("images, meant_for, factor", [(8, None, 1), (16, None, 1), (16, 8, 2), (2, 8, 0.25)])
def test_rates_are_scaled_by_the_images_of_a_step(images, meant_for, factor):
    rates = {"values": [0.1, 0.05], "boundaries": [10], "warmup_steps": 5, "warmup_start": 0.02}
    rates["images_per_step"] = meant_for
    config = TrainingConfig.model_validate({"images_per_step": images, "learning_rate": rates})
    schedule = effective_schedule(config)
    assert [float(schedule(step)) for step in (0, 5, 10)] == pytest.approx([factor * x for x in (0.02, 0.1, 0.05)])
