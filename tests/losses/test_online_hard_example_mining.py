"""Online hard example mining."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fcis_tf.losses import OnlineHardExampleMining


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(1, 25))
def test_selects_exactly_the_valid_rois_of_highest_loss(seed, rois, count):
    rng = np.random.default_rng(seed)
    losses = rng.permuted(np.arange(3 * rois, dtype=np.float32).reshape(3, rois), axis=1)
    valid = rng.uniform(size=losses.shape) < 0.7
    selected = OnlineHardExampleMining(count)(losses, valid).numpy()
    for i in range(3):
        hardest = sorted(np.flatnonzero(valid[i]), key=lambda r: -losses[i, r])[:count]
        assert sorted(np.flatnonzero(selected[i])) == sorted(hardest)


def test_equal_losses_do_not_add_to_the_number():
    selected = OnlineHardExampleMining(3)(tf.zeros([1, 9]), tf.range(9)[None] % 2 == 0)
    assert selected.numpy().sum() == 3


def test_round_trips_through_its_configuration():
    layer = OnlineHardExampleMining(7, name="hard")
    assert OnlineHardExampleMining.from_config(layer.get_config()).get_config() == layer.get_config()
