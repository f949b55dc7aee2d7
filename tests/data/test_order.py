"""The order of training images: what an epoch is made of, and its independence of what came before."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fcis_tf.data.order import draw_seed, training_order
from fcis_tf.errors import UserError


def source_of(shapes, without_instances=()):
    """A source of landscape ("-") and portrait ("|") images, given as a string."""
    sizes = np.int32([(40, 60) if shape == "-" else (60, 40) for shape in shapes]).reshape(-1, 2)
    indices = np.setdiff1d(np.arange(len(shapes)), without_instances)
    return SimpleNamespace(name="data.train", size=len(shapes), sizes=sizes, training_indices=indices)


def batches_of(order, batch_size, steps, first_step=0):
    """Returns the indices [steps, N] of an order's batches."""
    positions = range(first_step * batch_size, (first_step + steps) * batch_size)
    return np.array([order.index(tf.constant(position, tf.int64)) for position in positions]).reshape(-1, batch_size)


@settings(deadline=None, max_examples=25)
@given(st.text("-|", min_size=1, max_size=23), st.integers(1, 9), st.integers(0, 2**31 - 1), st.integers(0, 10**12))
def test_an_epoch_has_every_image_and_one_mixed_batch_at_most(shapes, batch_size, seed, epoch):
    order = training_order(source_of(shapes), batch_size, seed)
    steps = order.batches_per_epoch
    assert steps == int(np.ceil(len(shapes) / batch_size))
    batches = batches_of(order, batch_size, steps, epoch * steps)
    is_mixed = [len({shapes[index] for index in batch}) > 1 for batch in batches]
    assert sum(is_mixed) <= 1
    counts = np.bincount(batches.ravel(), minlength=len(shapes))
    # What fills up the batches is of the larger group, each image as often as another, give or take one.
    large = np.array([shape == ("-" if 2 * shapes.count("-") > len(shapes) else "|") for shape in shapes])
    assert (counts[~large] == 1).all() and counts.min() >= 1 and np.ptp(counts[large]) <= 1


def test_every_epoch_is_in_another_order():
    order = training_order(source_of("--|---|-|--||---"), 2, seed=3)
    batches = batches_of(order, 2, 4 * order.batches_per_epoch)
    epochs = batches.reshape(4, -1, 2)
    assert len({epoch.tobytes() for epoch in epochs}) == 4
    # Neither are the batches always of the same pairs, nor do the portraits always come last.
    assert len({tuple(sorted(batch)) for batch in batches}) > order.batches_per_epoch
    assert len({tuple(epoch[:, 0]) for epoch in epochs}) == 4
    other = batches_of(training_order(source_of("--|---|-|--||---"), 2, seed=4), 2, order.batches_per_epoch)
    assert (other != epochs[0]).any()


def test_images_without_instances_are_left_out():
    order = training_order(source_of("--|-|-", without_instances=[1, 2]), 2, seed=0)
    assert set(batches_of(order, 2, 6).ravel()) == {0, 3, 4, 5}
    with pytest.raises(UserError, match="^data.train: no image has an instance to learn from;"):
        training_order(source_of("-|", without_instances=[0, 1]), 2, seed=0)


@pytest.mark.parametrize("shapes", ["-----", "--|-|"])
def test_shifts_go_through_all_images(shapes):
    order = training_order(source_of(shapes), 2, seed=0)
    for position in range(6):
        indices = [int(order.index(tf.constant(position, tf.int64), tf.constant(i, tf.int64))) for i in range(6)]
        assert indices[0] == batches_of(order, 2, 3).ravel()[position] and set(indices) == set(range(5))


def test_an_endless_source_is_drawn_from_at_random():
    endless = SimpleNamespace(name="data.train", size=None, sizes=None, training_indices=None)
    batches = batches_of(training_order(endless, 4, seed=0), 4, 25)
    assert len(np.unique(batches)) == 100 and abs(batches.mean() / 2**61 - 1) < 0.3
    rest = batches_of(training_order(endless, 4, seed=0), 4, 5, first_step=20)
    np.testing.assert_array_equal(rest, batches[20:])


def test_draws_differ_by_seed_purpose_and_number():
    seeds = [draw_seed(seed, purpose, tf.constant(number, tf.int64)) for seed, purpose, number in np.ndindex(3, 3, 3)]
    assert len({tuple(seed.numpy()) for seed in seeds}) == 27
