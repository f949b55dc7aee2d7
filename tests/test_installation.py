"""That the pinned packages work together where nothing else would notice."""

import importlib


def test_tensorboard_starts():
    assert importlib.import_module("tensorboard.default").get_plugins()
