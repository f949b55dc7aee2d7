"""The terms of the loss, by hand."""

import numpy as np
import pytest
import tensorflow as tf

from fcis_tf.losses import loss_terms


def test_softmax_loss():
    logits = [[0.0, 0.0], [np.log(3.0), 0.0], [0.0, np.log(9.0)], [5.0, 5.0]]
    losses = loss_terms.softmax_loss(logits, [1, 0, 0, -1])
    np.testing.assert_allclose(losses, np.log([2, 4 / 3, 10, 2]), rtol=1e-6)


def test_mask_loss_is_the_mean_over_pixels():
    logits = np.zeros([1, 2, 2, 2, 2], np.float32)
    logits[0, 1, 0, 0] = 0, np.log(3)
    masks = np.int32([[[[1, 0], [0, 1]], [[1, 0], [0, 0]]]])
    expected = [[np.log(2), (np.log(4 / 3) + 3 * np.log(2)) / 4]]
    np.testing.assert_allclose(loss_terms.mask_loss(logits, masks), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "error, sigma, expected",
    [(0.0, 1, 0.0), (0.5, 1, 0.125), (-2.0, 1, 1.5), (0.1, 3, 0.045), (1.0, 3, 1 - 1 / 18), (-1 / 9, 3, 1 / 18)],
)
def test_smooth_l1_loss(error, sigma, expected):
    loss = loss_terms.smooth_l1_loss(tf.constant([[error, 0, 0, error]]), tf.zeros([1, 4]), sigma)
    np.testing.assert_allclose(loss, [2 * expected], rtol=1e-5, atol=1e-7)


def test_smooth_l1_has_the_gradient_of_its_clipped_error():
    errors = tf.constant([[-3.0, -0.2, 0.0, 0.9]])
    with tf.GradientTape() as tape:
        tape.watch(errors)
        loss = loss_terms.smooth_l1_loss(errors, tf.zeros([1, 4]))
    np.testing.assert_allclose(tape.gradient(loss, errors), [[-1, -0.2, 0, 0.9]], rtol=1e-6)


def test_the_mean_over_nothing_is_zero():
    values, mask = tf.constant([[1.0, 2, 6], [1, 2, 6]]), tf.constant([[True, False, True], [False] * 3])
    means = loss_terms.mean_where(values, mask)
    np.testing.assert_array_equal(means, [3.5, 0])
