"""Beam without what it tells of itself."""

import logging


def import_beam_quietly(level):
    """Imports Beam without its warnings about parts of it that are not installed.

    Args:
        level: of logging, of what it may tell later.
    """
    logging.getLogger("apache_beam").setLevel(level)
    logging.disable(logging.WARNING)
    import apache_beam  # noqa: F401

    logging.disable(logging.NOTSET)
