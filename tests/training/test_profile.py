"""Which steps are recorded, and what is written."""

import pytest
import tensorflow as tf

from fcis_tf.errors import UserError
from fcis_tf.training.profile import Profile


def test_the_steps_asked_for_are_written(tmp_path):
    with Profile((3, 5), tmp_path) as profile:
        profile.check(0, 5)
        for number in range(5):
            with profile.step(number):
                tf.constant(number) + 1
            assert bool(list(tmp_path.rglob("*.xplane.pb"))) == (number == 4)


def test_what_was_recorded_is_written_when_the_run_is_interrupted(tmp_path):
    with pytest.raises(KeyboardInterrupt), Profile((0, 100), tmp_path) as profile, profile.step(0):
        raise KeyboardInterrupt
    assert list(tmp_path.rglob("*.xplane.pb"))


@pytest.mark.parametrize("steps", [(0, 10), (5, 31), (30, 40)])
def test_steps_that_the_run_does_not_have(tmp_path, steps):
    with pytest.raises(UserError, match=f"^--profile {steps[0]}:{steps[1]}: expected steps from 1 to 30"):
        Profile(steps, tmp_path).check(1, 30)
    Profile(None, tmp_path).check(1, 30)
