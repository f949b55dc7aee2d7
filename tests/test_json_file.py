"""JSON files that are written whole or not at all."""

import json

import pytest

from fcis_tf.errors import UserError
from fcis_tf.json_file import write_json


def test_replaces_the_file(tmp_path):
    path = tmp_path / "a.json"
    for value in ({"a": 1}, [2, 3]):
        write_json(value, path)
        assert json.loads(path.read_text()) == value
    assert list(tmp_path.iterdir()) == [path]


def test_a_value_that_is_not_json_leaves_the_file_intact(tmp_path):
    path = tmp_path / "a.json"
    write_json([1], path)
    with pytest.raises(TypeError):
        write_json([object()], path)
    assert json.loads(path.read_text()) == [1]


def test_names_a_file_that_cannot_be_written(tmp_path):
    path = tmp_path / "missing" / "a.json"
    with pytest.raises(UserError, match=str(path)):
        write_json([1], path)
