"""Files that are written whole or not at all."""

import pytest

from fcis_tf.errors import UserError
from fcis_tf.whole_file import write_text


def test_replaces_the_file(tmp_path):
    path = tmp_path / "a.txt"
    for text in ("one", "two"):
        write_text(text, path)
        assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


def test_a_text_that_cannot_be_written_leaves_the_file_intact(tmp_path):
    path = tmp_path / "a.txt"
    write_text("one", path)
    (tmp_path / "a.txt.partial").mkdir()
    with pytest.raises(UserError, match=f"^{path}: cannot write this file: Is a directory$"):
        write_text("two", path)
    assert path.read_text() == "one"
