"""Errors of a disk that cannot be written to, as one line for the user."""

import contextlib
import errno
import os

import tensorflow as tf

from fcis_tf.errors import UserError

# Of writing only.
_REASONS = [os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)]


@contextlib.contextmanager
def disk_errors(path):
    """Turns errors of a full disk, and the like, into a UserError.

    TensorFlow's errors, of checkpoints and TensorBoard's files, are recognised by their text.

    Args:
        path: what is written, for the message where the error itself names no file.

    Raises:
        UserError: names the path, the reason, and what to do.
    """
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        text = str(error)
        reason = next((reason for reason in _REASONS if reason in text), None)
        if reason is None:
            raise
        raise UserError(
            f"{getattr(error, 'filename', None) or path}: cannot write this: {reason}; free some space, then the same "
            "command goes on from the last checkpoint"
        ) from None
