"""A running stand-in with the tiny model, shared by all tests."""

import pytest

from serving.running_stand_in import running_stand_in
from tests.serving.photographs import bright_rectangle, encode
from tests.serving.tiny_model import export_tiny_model


@pytest.fixture(scope="session")
def served_model(tmp_path_factory):
    """Path of a model of two versions; the newer one has a request to warm up with."""
    base_path = tmp_path_factory.mktemp("models") / "fcis"
    export_tiny_model(base_path / "9")
    export_tiny_model(base_path / "10", warm_up_image=encode(bright_rectangle()))
    return base_path


@pytest.fixture(scope="session")
def stand_in(served_model):
    """(address, process id) of a stand-in that serves the model."""
    with running_stand_in(served_model) as running:
        yield running
