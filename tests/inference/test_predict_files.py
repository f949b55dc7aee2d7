"""Prediction on image files."""

import json
import threading

import numpy as np
import pytest
from PIL import Image

from fcis_tf.errors import UserError
from fcis_tf.inference import Instances
from fcis_tf.inference.photograph import read_photograph
from fcis_tf.inference.predict_files import predict_files


class CornerPredictor:
    """Finds one pixel in every image: its top left corner."""

    def predict_file(self, path):
        image = read_photograph(path)
        mask = np.zeros((1, *image.shape[:2]), bool)
        mask[0, 0, 0] = True
        return image, Instances(np.float32([[0, 0, 1, 1]]), np.int32([1]), np.float32([0.5]), mask)


def save(path, mode="RGB", size=(20, 10), **options):
    Image.new(mode, size, 90 if mode in ("L", "I;16") else None).save(path, **options)
    return path


def predict(paths, out):
    return predict_files(CornerPredictor(), paths, out, ["cat"], [7])


def test_writes_a_drawing_for_each_image_and_all_results(tmp_path):
    paths = [save(tmp_path / "000012.jpg"), save(tmp_path / "beach.png")]
    out = tmp_path / "deep" / "out"
    assert predict(paths, out) == (2, 0)

    assert sorted(path.name for path in out.iterdir()) == ["000012.png", "beach.png", "instances.json"]
    assert Image.open(out / "beach.png").size == (20, 10)
    first, second = json.loads((out / "instances.json").read_text())
    assert (first["image_id"], first["file_name"]) == (12, "000012.jpg")
    assert (second["image_id"], second["file_name"]) == ("beach.png", "beach.png")
    assert first["category_id"] == 7 and first["bbox"] == [0, 0, 1, 1] and first["score"] == 0.5
    assert first["segmentation"]["size"] == [10, 20]


def test_skips_what_is_not_an_image_and_names_it(tmp_path, capsys):
    truncated = save(tmp_path / "truncated.png", size=(90, 90))
    truncated.write_bytes(truncated.read_bytes()[:50])
    text = tmp_path / "text.jpg"
    text.write_text("no image")
    empty = tmp_path / "empty.jpg"
    empty.touch()
    unreadable = "not an image that can be read; expected JPEG, PNG, GIF, BMP or WebP"
    bad = {
        truncated: unreadable,
        text: unreadable,
        empty: unreadable,
        save(tmp_path / "scan.tiff"): unreadable,
        tmp_path / "missing.jpg": "No such file or directory",
        tmp_path: "Is a directory",
    }
    good = save(tmp_path / "good.jpg")

    assert predict([*bad, good], tmp_path / "out") == (1, 6)
    errors = [line for line in capsys.readouterr().err.splitlines() if "skipped" in line]
    for (path, problem), line in zip(bad.items(), errors, strict=True):
        assert line.endswith(f"skipped: {path}: {problem}")
    assert len(json.loads((tmp_path / "out" / "instances.json").read_text())) == 1


@pytest.mark.parametrize(
    ("mode", "name"), [("L", "a.png"), ("RGBA", "a.png"), ("CMYK", "a.jpg"), ("I;16", "a.png"), ("RGBA", "a.webp")]
)
def test_reads_images_of_every_kind(tmp_path, mode, name):
    image = read_photograph(save(tmp_path / name, mode))
    assert image.shape == (10, 20, 3) and image.dtype == np.uint8


def test_turns_photographs_the_way_up_that_they_were_taken(tmp_path):
    stored = Image.fromarray(np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    stored.save(tmp_path / "phone.png", exif=exif)
    image = read_photograph(tmp_path / "phone.png")
    np.testing.assert_array_equal(image, np.rot90(np.asarray(stored), k=-1))


def test_results_so_far_survive_an_interruption(tmp_path):
    class Interrupted(CornerPredictor):
        def predict_file(self, path):
            if path.name == "b.jpg":
                raise KeyboardInterrupt
            return super().predict_file(path)

    paths = [save(tmp_path / "a.jpg"), save(tmp_path / "b.jpg")]
    with pytest.raises(KeyboardInterrupt):
        predict_files(Interrupted(), paths, tmp_path / "out", ["cat"], [7])
    assert len(json.loads((tmp_path / "out" / "instances.json").read_text())) == 1
    assert (tmp_path / "out" / "a.png").exists()


def test_images_predicted_at_once_keep_their_order(tmp_path):
    barrier = threading.Barrier(3, timeout=20)

    class Together(CornerPredictor):
        def predict_file(self, path):
            barrier.wait()
            return super().predict_file(path)

    paths = [save(tmp_path / f"{number}.png", size=(20, 10 + number)) for number in range(6)]
    assert predict_files(Together(), paths, tmp_path / "out", ["cat"], [7], threads=3) == (6, 0)
    results = json.loads((tmp_path / "out" / "instances.json").read_text())
    assert [(result["image_id"], result["segmentation"]["size"][0]) for result in results] == [
        (number, 10 + number) for number in range(6)
    ]


def test_never_replaces_images_nor_drawings(tmp_path):
    (tmp_path / "other").mkdir()
    png, other = save(tmp_path / "a.png"), save(tmp_path / "other" / "a.png")
    jpg = save(tmp_path / "other" / "a.jpg")
    with pytest.raises(UserError, match="would replace the image"):
        predict([png], tmp_path)
    with pytest.raises(UserError, match="would replace the image"):
        predict([jpg, save(tmp_path / "a.jpg.png"), png], tmp_path)
    with pytest.raises(UserError, match="would replace that of"):
        predict([png, other], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_images_that_differ_in_their_extension_only(tmp_path):
    paths = [save(tmp_path / name) for name in ("12.png", "12.jpg", "13.jpg")]
    out = tmp_path / "out"
    assert predict(paths, out) == (3, 0)
    assert sorted(path.name for path in out.glob("*.png")) == ["12.jpg.png", "12.png.png", "13.png"]
    results = json.loads((out / "instances.json").read_text())
    assert [result["image_id"] for result in results] == ["12.png", "12.jpg", 13]


def test_without_a_readable_image_earlier_results_stay(tmp_path):
    out = tmp_path / "out"
    predict([save(tmp_path / "a.png")], out)
    before = {path: path.read_bytes() for path in out.iterdir()}
    assert predict([tmp_path / "missing.png"], out) == (0, 1)
    assert {path: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize("content", ['{"images": []}', "not JSON"])
def test_annotations_of_the_same_name_are_not_replaced(tmp_path, content):
    annotations = tmp_path / "instances.json"
    annotations.write_text(content)
    with pytest.raises(UserError, match="instances.json: would be replaced, but holds no COCO results"):
        predict([save(tmp_path / "a.jpg")], tmp_path)
    assert annotations.read_text() == content and not (tmp_path / "a.png").exists()


def test_names_a_drawing_that_cannot_be_written(tmp_path):
    paths = [save(tmp_path / "a.png"), save(tmp_path / "b.png")]
    drawing = tmp_path / "out" / "b.png"
    drawing.mkdir(parents=True)
    with pytest.raises(UserError, match=f"^{drawing}: cannot write this file: Is a directory$"):
        predict(paths, tmp_path / "out")
    assert len(json.loads((tmp_path / "out" / "instances.json").read_text())) == 1


def test_names_a_directory_that_cannot_be_made(tmp_path):
    image = save(tmp_path / "a.png")
    with pytest.raises(UserError, match="cannot make this directory"):
        predict([image], image / "out")
