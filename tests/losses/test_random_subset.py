"""Drawing examples at random."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fcis_tf.losses.random_subset import Draw, image_seeds, random_subset


@settings(deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(0, 30), st.lists(st.integers(0, 35), min_size=2, max_size=2))
def test_draws_the_wanted_number_of_candidates_or_all(seed, length, counts):
    candidates = np.random.default_rng(seed).uniform(size=(2, length)) < 0.6
    drawn = random_subset(candidates, np.int32(counts), [[seed, 1], [seed, 2]], Draw.FOREGROUND_ROIS).numpy()
    assert not (drawn & ~candidates).any()
    np.testing.assert_array_equal(drawn.sum(axis=1), np.minimum(counts, candidates.sum(axis=1)))


def test_depends_on_the_seed_of_the_row_and_the_draw_only():
    seeds = image_seeds(7, tf.constant([3, 3, 4], tf.int64))
    first, again, other = random_subset(np.ones([3, 100], bool), 50, seeds, Draw.FOREGROUND_ROIS).numpy()
    (alone,) = random_subset(np.ones([1, 100], bool), 50, seeds[2:], Draw.FOREGROUND_ROIS).numpy()
    (of_another_draw,) = random_subset(np.ones([1, 100], bool), 50, seeds[2:], Draw.BACKGROUND_ROIS).numpy()
    assert (first == again).all() and (first != other).any()
    assert (alone == other).all() and (alone != of_another_draw).any()


def test_every_candidate_is_as_likely():
    candidates = np.tile(np.arange(10) % 2 == 0, [2000, 1])
    seeds = image_seeds(3, tf.range(2000, dtype=tf.int64))
    frequency = random_subset(candidates, 2, seeds, Draw.FOREGROUND_ROIS).numpy().mean(axis=0)
    np.testing.assert_allclose(frequency, np.where(candidates[0], 2 / 5, 0), atol=0.05)
