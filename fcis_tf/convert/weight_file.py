"""Files of weights that are not to be trusted."""

from pathlib import Path

from fcis_tf.errors import UserError


def check_weight_file(path):
    """Checks that there is a regular file: a pipe or a device could be read for ever.

    Raises:
        UserError: there is none.
    """
    if not Path(path).exists():
        raise UserError(f"{path}: no such file")
    if not Path(path).is_file():
        raise UserError(f"{path}: not a file; expected one of weights")
