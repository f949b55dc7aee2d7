"""Where the time of some training steps goes, for TensorBoard's page "Profile"."""

import contextlib

import tensorflow as tf

from fcis_tf.errors import UserError


class Profile:
    """Records what TensorFlow does in some steps. A context manager, so that what was recorded is written at its end.

    Args:
        steps: (first, end): those from the first up to, but without, the end; None for no steps.
        directory: where TensorBoard looks for it.
    """

    def __init__(self, steps, directory):
        self._first, self._end = steps or (None, None)
        self._directory = str(directory)
        self._records = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._finish()

    def check(self, first_step, steps):
        """Raises a UserError if a run from a step to another does not have the steps to record."""
        if self._first is not None and not first_step <= self._first < self._end <= steps:
            raise UserError(
                f"--profile {self._first}:{self._end}: expected steps from {first_step} to {steps}, which this run has"
            )

    @contextlib.contextmanager
    def step(self, number):
        """Within it runs the step of a number."""
        if number == self._first:
            tf.profiler.experimental.start(self._directory)
            self._records = True
        if not self._records:
            yield
            return
        with tf.profiler.experimental.Trace("train", step_num=number, _r=1):
            yield
        if number + 1 == self._end:
            self._finish()

    def _finish(self):
        if self._records:
            # Devices may still be at work.
            tf.test.experimental.sync_devices()
            tf.profiler.experimental.stop()
            self._records = False
