"""The client from the command line, against the stand-in."""

import json
import runpy
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from pycocotools import mask as coco_mask

from serving.encode_photograph import encode_photograph
from tests.serving.photographs import HEIGHT, WIDTH, bright_rectangle, encode, turned_bytes


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs the client, which writes to tmp_path / "out", and returns its exit status, 0 for success."""

    # Too late for that in a process in which other tests have used TensorFlow.
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda *arguments: None)

    def run_client(address, *arguments):
        arguments = ["client.py", address, *arguments, "--out", tmp_path / "out"]
        monkeypatch.setattr(sys, "argv", [str(argument) for argument in arguments])
        with pytest.raises(SystemExit) as exit_:
            runpy.run_module("serving.client", run_name="__main__")
        return exit_.value.code or 0

    return run_client


@pytest.fixture
def results(tmp_path):
    return lambda: json.loads((tmp_path / "out" / "instances.json").read_text())


def write(path, content):
    path.write_bytes(content)
    return path


def test_draws_and_writes_what_the_server_finds(run, results, stand_in, tmp_path, capsys):
    image = write(tmp_path / "12.png", encode(bright_rectangle()))
    assert run(stand_in[0], image) == 0
    (result,) = results()
    assert (result["image_id"], result["file_name"], result["category_id"]) == (12, "12.png", 2)
    assert result["bbox"] == [20, 10, 40, 20] and result["score"] == 0.75
    # All of the box but its right quarter is the instance's.
    expected = np.zeros((HEIGHT, WIDTH))
    expected[10:30, 20:50] = 1
    np.testing.assert_array_equal(coco_mask.decode(result["segmentation"]), expected)

    drawn = np.asarray(Image.open(tmp_path / "out" / "12.png"))
    assert (drawn[10:30, 20:50] != 250).any(axis=-1).all() and (drawn[31:] == 30).all()
    assert f"1 instances in 1 images; drawings and instances.json in {tmp_path / 'out'}" in capsys.readouterr().out


def test_one_image_that_is_none_does_not_stop_the_others(run, results, stand_in, tmp_path, capsys):
    good = [write(tmp_path / f"{number}.png", encode(bright_rectangle())) for number in range(6)]
    text = write(tmp_path / "text.jpg", b"no image")
    truncated = write(tmp_path / "truncated.jpg", encode(bright_rectangle(), "JPEG")[:300])
    large = write(tmp_path / "large.png", encode(np.zeros((1001, 1000, 3), np.uint8)))
    missing = tmp_path / "missing.png"
    paths = [*good[:3], text, truncated, large, missing, *good[3:]]
    assert run(stand_in[0], *paths, "--concurrency", "3") == 1
    assert [result["image_id"] for result in results()] == list(range(6))
    skipped = [line.partition("skipped: ")[2] for line in capsys.readouterr().err.splitlines() if "skipped: " in line]
    for path, line in zip((text, truncated, large), skipped, strict=False):
        assert line.startswith(f"{path}: INVALID_ARGUMENT: ")
    assert skipped[3:] == [f"{missing}: No such file or directory"]


def test_turned_photographs_and_webp_are_seen_upright(run, results, stand_in, tmp_path):
    image = bright_rectangle()
    paths = [
        write(tmp_path / "1.png", turned_bytes(image)),
        write(tmp_path / "2.webp", encode(image, "WEBP", lossless=True)),
        write(tmp_path / "3.webp", turned_bytes(image, "WEBP", lossless=True)),
    ]
    assert run(stand_in[0], *paths) == 0
    assert [result["bbox"] for result in results()] == [[20, 10, 40, 20]] * 3
    assert Image.open(tmp_path / "out" / "1.png").size == (WIDTH, HEIGHT)


def test_other_files_are_sent_as_they_are(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    contents = [encode(bright_rectangle(), "JPEG", exif=exif), encode(bright_rectangle(), "BMP"), b"no image", b""]
    for content in contents:
        assert encode_photograph(write(tmp_path / "image", content)) == content


def test_leaves_out_low_scores(run, results, stand_in, tmp_path):
    image = write(tmp_path / "a.png", encode(bright_rectangle()))
    assert run(stand_in[0], image, "--min-score", "0.8") == 0
    assert results() == []


def test_draws_the_names_of_the_classes(run, stand_in, tmp_path, monkeypatch):
    labels = []

    def record(image, boxes, classes, scores, masks, class_names):
        labels.extend(class_names[label - 1] for label in classes)
        return image

    monkeypatch.setattr("fcis_tf.inference.predict_files.draw_instances", record)
    dark = write(tmp_path / "dark.png", encode(np.zeros((20, 30, 3), np.uint8)))
    bright = write(tmp_path / "bright.png", encode(bright_rectangle()))
    assert run(stand_in[0], dark, bright, "--min-score", "0", "--concurrency", "1") == 0
    assert labels == ["cat", "dog"]


def test_a_wrong_server_is_one_line_before_anything_is_written(run, stand_in, tmp_path, capsys):
    image = write(tmp_path / "a.png", encode(bright_rectangle()))
    assert run("localhost:1", image, "--retries", "0") == 2
    assert run(stand_in[0], image, "--model-name", "resnet") == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("client.py: localhost:1: no gRPC server") and "no model resnet" in second
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["localhost"], "argument HOST:PORT: expected HOST:PORT, found localhost"),
        (["localhost:65536"], "argument HOST:PORT: expected HOST:PORT, found localhost:65536"),
        (["localhost:1", "--min-score", "2"], "argument --min-score: expected a score in 0..1, found 2"),
        (["localhost:1", "--timeout", "0"], "argument --timeout: expected a number of seconds above 0, found 0"),
        (["localhost:1", "--concurrency", "no"], "--concurrency: expected a whole number in 1..1024, found no"),
        (["localhost:1", "--retries", "9"], "argument --retries: expected a whole number in 0..4, found 9"),
        (["localhost:1", "--ca-file", "/no/ca.pem"], "--ca-file /no/ca.pem: No such file or directory"),
    ],
)
def test_wrong_arguments_are_named(run, capsys, arguments, message):
    address, *options = arguments
    assert run(address, "a.png", *options) == 2
    assert message in capsys.readouterr().err
