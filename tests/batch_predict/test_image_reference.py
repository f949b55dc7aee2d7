"""Which files a pattern names, and which images they have."""

import pytest

pytest.importorskip("apache_beam")

from fcis_tf.batch_predict.image_reference import match_files


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Returns a folder of images, hidden files, links to folders and a link that leads nowhere."""
    for name in ("1.jpg", "a/2.jpg", "a/b/3.jpg", "a/b/4.png", ".hidden/5.jpg", "d[0]/b/6.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "lost.jpg").symlink_to("nowhere")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", ["1.jpg", "lost.jpg"]),
        ("**/*.jpg", ["1.jpg", "a/2.jpg", "a/b/3.jpg", "d[0]/b/6.jpg", "lost.jpg"]),
        ("**", ["1.jpg", "a/2.jpg", "a/b/3.jpg", "a/b/4.png", "d[0]/b/6.jpg", "lost.jpg"]),
        ("./a/**/*.png", ["./a/b/4.png"]),
        ("**/b/**", ["a/b/3.jpg", "a/b/4.png", "d[0]/b/6.jpg"]),
        ("loop/*", ["loop/1.jpg", "loop/lost.jpg"]),
        ("a**/*.jpg", ["a/2.jpg"]),
    ],
)
def test_names_each_file_once_and_no_folder(tree, pattern, expected):
    sizes = [(path, None if "lost" in path else 1) for path in expected]
    assert match_files(pattern) == sizes
    if not pattern.startswith("."):
        assert match_files(f"{tree}/{pattern}") == [(f"{tree}/{path}", size) for path, size in sizes]
