"""The memory of functions and their gradients, against tensors counted by hand."""

import pytest
import tensorflow as tf

from fcis_tf.training.gradient_memory import gradient_memory

SIZE = 4 * 10 * 7
INPUTS = [tf.TensorSpec([10, 7])]


def test_keeps_what_the_gradient_needs():
    # Of the hyperbolic tangent the gradient needs the output, of a sum it needs nothing.
    chain = gradient_memory(lambda x: tf.tanh(tf.tanh(x) + 1.0), INPUTS, [])
    assert chain.kept == 2 * SIZE
    # With both there are the gradient of the output, and at last that of the input.
    assert chain.peak == 4 * SIZE


def test_reshaped_tensors_are_the_same_memory():
    memory = gradient_memory(lambda x: tf.reshape(tf.reshape(tf.tanh(x), [70]), [7, 10]), INPUTS, [])
    assert memory.kept == SIZE


def test_counts_gradients_of_variables_but_not_the_variables():
    weights = tf.Variable(tf.zeros([7, 300]))
    memory = gradient_memory(lambda x: tf.matmul(x, weights), INPUTS, [weights])
    product, gradient = 4 * 10 * 300, 4 * 7 * 300
    assert memory.kept == product
    # The product, its gradient, and those of both factors.
    assert memory.peak == 2 * product + gradient + SIZE


def test_half_precision_is_half_as_much():
    memory = gradient_memory(lambda x: tf.tanh(tf.cast(x, tf.bfloat16)), INPUTS, [])
    assert memory.kept == SIZE // 2


def test_a_repeated_computation_keeps_its_output_alone():
    def function(x):
        return tf.tanh(tf.tanh(tf.tanh(x)))

    plain, repeated = (gradient_memory(f, INPUTS, []) for f in (function, tf.recompute_grad(function)))
    assert plain.kept == 3 * SIZE and repeated.kept == SIZE
    assert repeated.peak >= plain.peak


def test_inputs_that_have_no_gradient():
    inputs = [*INPUTS, tf.TensorSpec([3], tf.int32)]
    assert gradient_memory(lambda x, rows: tf.tanh(tf.gather(x, rows)), inputs, []).kept >= 4 * 3 * 7


@pytest.mark.parametrize("count", [1, 3])
def test_sums_are_made_in_place(count):
    def function(x):
        for _ in range(count):
            x = tf.nn.relu(x + 1.0)
        return x

    assert gradient_memory(function, INPUTS, []).kept == count * SIZE
