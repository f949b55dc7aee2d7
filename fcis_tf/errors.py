"""The error that command-line programs show as one line."""


class UserError(Exception):
    """Something the user can mend: a bad path, key, file or argument.

    The message is one line which names the file, key or argument and what was expected.
    Command-line programs print it and exit with status 2, without a traceback.
    """
