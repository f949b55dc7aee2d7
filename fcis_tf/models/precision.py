"""In which precision the network's layers compute."""

import contextlib

import keras


@contextlib.contextmanager
def computing_in(dtype_policy):
    """Within this context new Keras layers get a dtype policy, as the layers within a layer need its own.

    Args:
        dtype_policy: keras.DTypePolicy or its name, such as "mixed_bfloat16": variables and whatever needs their
            precision in float32, convolutions in bfloat16.
    """
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype_policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(previous)
