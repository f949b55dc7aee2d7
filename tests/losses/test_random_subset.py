"""Drawing examples at random."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fcis_tf.losses.random_subset import random_subset


@settings(deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(0, 30), st.lists(st.integers(0, 35), min_size=2, max_size=2))
def test_draws_the_wanted_number_of_candidates_or_all(seed, length, counts):
    candidates = np.random.default_rng(seed).uniform(size=(2, length)) < 0.6
    drawn = random_subset(candidates, np.int32(counts), [seed, 1]).numpy()
    assert not (drawn & ~candidates).any()
    np.testing.assert_array_equal(drawn.sum(axis=1), np.minimum(counts, candidates.sum(axis=1)))


def test_depends_on_the_seed_only():
    candidates = np.ones([1, 100], bool)
    first, again, other = (random_subset(candidates, 50, seed).numpy() for seed in ([0, 1], [0, 1], [0, 2]))
    assert (first == again).all() and (first != other).any()


def test_every_candidate_is_as_likely():
    candidates = np.tile(np.arange(10) % 2 == 0, [2000, 1])
    frequency = random_subset(candidates, 2, [3, 4]).numpy().mean(axis=0)
    np.testing.assert_allclose(frequency, np.where(candidates[0], 2 / 5, 0), atol=0.05)
