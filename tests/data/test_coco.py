"""Images with annotations in COCO's format: what is read, and what is said about files that are wrong."""

import io
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from pycocotools import mask as coco_mask

from fcis_tf.config import CocoDataset, DataConfig
from fcis_tf.data import describe_data_error, evaluation_batches, training_batches
from fcis_tf.data.mask_crops import crop_segmentation, decode_runs, encode_runs
from fcis_tf.errors import UserError
from tests.data.sources import open_source, read_examples

HEIGHT, WIDTH = 40, 60
COCO100 = Path(__file__).resolve().parents[3] / "shared" / "data" / "coco100"


def triangle(**changes):
    """An annotation: a polygon in image 1 of category 7."""
    annotation = {
        "id": 5,
        "image_id": 1,
        "category_id": 7,
        "iscrowd": 0,
        "bbox": [10, 5, 20, 30],
        "area": 300,
        "segmentation": [[10, 5, 30, 5, 30, 35]],
    }
    return annotation | changes


def rectangle_runs(compressed, **changes):
    """An annotation like `triangle` whose segmentation is a run-length encoding of its whole box."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    mask[5:35, 10:30] = 1
    if compressed:
        counts = coco_mask.encode(mask)["counts"].decode()
    else:
        counts = encode_runs(mask.T).tolist()
    return triangle(segmentation={"size": [HEIGHT, WIDTH], "counts": counts}, **changes)


class Folder:
    """A data set in a temporary folder."""

    def __init__(self, path):
        self.images, self.annotations = path / "images", path / "instances.json"
        self.content = {
            "images": [{"id": 1, "file_name": "one.png", "height": HEIGHT, "width": WIDTH}],
            "annotations": [triangle()],
            "categories": [{"id": 7, "name": "kite"}, {"id": 3, "name": "apple"}],
        }
        colors = np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)
        self.picture = Image.fromarray(colors).resize((WIDTH, HEIGHT))
        self.save(self.picture)

    def save(self, picture, name="one.png", **options):
        path = self.images / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, **options)

    def add_image(self, image_id, name, picture=None):
        self.save(picture or self.picture, name)
        self.content["images"].append({"id": image_id, "file_name": name, "height": HEIGHT, "width": WIDTH})

    def config(self, **changes):
        return CocoDataset(format="coco", images=self.images, annotations=self.annotations, **changes)

    def load(self, mask_size=28, strict=False, **changes):
        if not self.annotations.exists():
            self.annotations.write_text(json.dumps(self.content))
        return open_source(self.config(**changes), mask_size, strict=strict)

    def error(self, strict=True):
        with pytest.raises(UserError) as caught:
            self.load(strict=strict)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def example(self):
        return read_examples(self.load())[0]


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def data_config(config):
    return DataConfig(train=config, eval=config, short_side=32, long_side=64, strict=True)


# Masks


def test_runs_decode_to_the_masks_they_encode():
    rng = np.random.default_rng(0)
    masks = [rng.integers(0, 2, (9, 9)), np.zeros((9, 9)), np.ones((9, 9)), np.eye(9), 1 - np.eye(9)]
    runs = [encode_runs(mask.astype(np.uint8)) for mask in masks]
    assert all(len(lengths) % 2 == 0 and lengths.sum() == 81 for lengths in runs)
    np.testing.assert_array_equal(decode_runs(tf.constant(np.concatenate(runs)), 9), masks)
    assert decode_runs(tf.zeros([0], tf.int32), 9).shape == (0, 9, 9)


@pytest.mark.parametrize("compressed", [True, False])
def test_run_length_masks_equal_pycocotools_cropped(folder, compressed):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    mask[5:35, 10:30] = np.random.default_rng(1).integers(0, 2, (30, 20))
    segmentation = {"size": [HEIGHT, WIDTH], "counts": coco_mask.encode(mask)["counts"].decode()}
    if not compressed:
        segmentation["counts"] = encode_runs(mask.T).tolist()
    folder.content["annotations"] = [triangle(segmentation=segmentation)]
    cropped = coco_mask.decode(coco_mask.encode(mask))[5:35, 10:30]
    # 60 is a multiple of both sides: every pixel becomes a block.
    (example,) = read_examples(folder.load(mask_size=60))
    np.testing.assert_array_equal(example["masks"][0], cropped.repeat(2, axis=0).repeat(3, axis=1))


@pytest.mark.parametrize(
    "box", [(5, 10.5, 35, 30.5), (5.3, 10.5, 34.9, 20.2), (0, 0, HEIGHT, WIDTH), (6.2, 12, 6.4, 13)]
)
def test_polygons_are_cropped_as_they_are_drawn_in_the_whole_image(box):
    polygons = [[10.5, 5, 30.5, 5, 30.5, 35], [10.5, 20, 15.5, 20, 15.5, 35, 10.5, 35], [-9, 3, 70, 4, 9, 9]]
    whole = coco_mask.merge(coco_mask.frPyObjects(polygons, HEIGHT, WIDTH))
    np.testing.assert_array_equal(crop_segmentation(polygons, box, 60), crop_segmentation(whole, box, 60))


# What is read


def test_categories_are_numbered_by_ascending_id(folder):
    source = folder.load()
    assert source.class_names == ["apple", "kite"] and source.category_ids == [3, 7]
    (example,) = read_examples(source)
    assert example["image_id"] == 1 and example["classes"].tolist() == [2] and example["is_crowd"].tolist() == [False]
    np.testing.assert_array_equal(example["boxes"], [[5, 10, 35, 30]])
    np.testing.assert_array_equal(example["image"], np.asarray(folder.picture))
    assert example["masks"].shape == (1, 28, 28) and example["masks"].dtype == np.uint8


def test_crowds_are_kept_and_marked(folder):
    folder.content["annotations"] = [rectangle_runs(compressed=False, iscrowd=1), triangle()]
    source = folder.load()
    assert read_examples(source)[0]["is_crowd"].tolist() == [True, False]
    ground_truth = source.ground_truth()
    assert [annotation["iscrowd"] for annotation in ground_truth.anns.values()] == [1, 0]
    assert ground_truth.annToMask(ground_truth.anns[1]).sum() == 600


def test_images_without_instances_are_evaluated_but_not_trained_on(folder):
    folder.add_image(2, "two.png")
    folder.add_image(4, "crowd.png")
    folder.content["annotations"].append(rectangle_runs(compressed=True, iscrowd=1, image_id=4))
    source = folder.load()
    assert source.size == 3 and source.training_indices.tolist() == [0]
    assert read_examples(source)[1]["boxes"].shape == (0, 4) and read_examples(source)[1]["masks"].shape == (0, 28, 28)
    assert source.ground_truth().getImgIds() == [1, 2, 4]


def test_no_instances_at_all(folder):
    folder.content["annotations"] = []
    source = folder.load()
    assert read_examples(source)[0]["masks"].shape == (0, 28, 28)
    with pytest.raises(UserError, match="data.train: no image has an instance"):
        training_batches(source, data_config(folder.config()), 1, seed=0)


def test_first_images_by_id(folder):
    folder.add_image(3, "three.png")
    folder.add_image(2, "two.png")
    folder.content["annotations"].append(triangle(image_id=3))
    source = folder.load(max_images=2)
    assert [example["image_id"] for example in read_examples(source)] == [1, 2]
    assert source.ground_truth().getImgIds() == [1, 2] and len(source.ground_truth().anns) == 1


def test_file_names_with_subfolders(folder):
    folder.add_image(2, "val/2014/two.png")
    source = folder.load()
    assert source.image_path(2) == str(folder.images / "val/2014/two.png")
    assert len(read_examples(source)) == 2


def test_ground_truth_numbers_annotations_from_one_and_prints_nothing(folder, capsys):
    folder.content["annotations"] = [triangle(id=0), triangle(id=0)]
    ground_truth = folder.load().ground_truth()
    assert sorted(ground_truth.anns) == [1, 2]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "box", [None, [10, 5, 0, 30], [10, 5, -3, -3], [100, 100, 5, 5], [1, 2], "box", [0, 0, None, 1], [0, 0, 10**400, 1]]
)
def test_box_that_is_missing_or_wrong_is_taken_from_the_segmentation(folder, box):
    folder.content["annotations"] = [rectangle_runs(compressed=True, bbox=box)]
    np.testing.assert_array_equal(folder.example()["boxes"], [[5, 10, 35, 30]])


def test_missing_area_is_taken_from_the_segmentation(folder):
    folder.content["annotations"] = [rectangle_runs(compressed=True, area=None)]
    assert folder.load().ground_truth().anns[1]["area"] == 600


def test_box_is_clipped_to_the_image(folder):
    folder.content["annotations"] = [triangle(bbox=[-5, 10.5, 200, 20])]
    np.testing.assert_array_equal(folder.example()["boxes"], [[10.5, 0, 30.5, 60]])


def test_unusable_annotations_are_counted_by_kind_in_one_warning(folder, caplog):
    folder.content["annotations"] = [
        triangle(),
        triangle(segmentation=[[10, 5, 30, 5]]),
        triangle(segmentation=[[10, 5, 20, 5, 30, 5]]),
        triangle(segmentation=[[10, 5, 20, 5, "a", 5]]),
        triangle(segmentation=[[10, 5, 30, 5, 30, 10**400]]),
        triangle(segmentation=[[10, 5, 10.01, 5, 10.01, 5.01]], bbox=None),
        triangle(segmentation=None),
        triangle(segmentation={"size": [3, 3], "counts": [9]}),
        triangle(segmentation={"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]}),
        triangle(segmentation={"size": [HEIGHT, WIDTH], "counts": [1, 2]}),
        triangle(segmentation={"size": [HEIGHT, WIDTH], "counts": "not runs"}),
        triangle(segmentation={"size": [HEIGHT, WIDTH]}),
    ]
    with caplog.at_level(logging.WARNING):
        source = folder.load()
    assert len(read_examples(source)[0]["boxes"]) == 1
    assert len(source.ground_truth().anns) == 1
    (record,) = caplog.records
    assert record.getMessage() == (
        f"data.train.annotations: {folder.annotations}: skipped empty masks (1), instances without a segmentation (1), "
        "masks of another size than the image's (1), masks without a pixel (1), "
        "polygons that are degenerate or outside of the image (4), unreadable run lengths (3)"
    )


@pytest.mark.parametrize("shift", [(-30, 0), (WIDTH - 10, 0), (0, -35), (0, HEIGHT - 5), (500, 500)])
def test_polygon_outside_of_the_image_is_no_instance_whatever_its_box(folder, shift):
    outside = (np.reshape(triangle()["segmentation"], (-1, 2)) + shift).ravel().tolist()
    whole = rectangle_runs(compressed=True)
    folder.content["annotations"] = [triangle(segmentation=[outside]), whole]
    source = folder.load()
    assert read_examples(source)[0]["masks"].shape == (1, 28, 28) and len(source.ground_truth().anns) == 1
    folder.annotations.unlink()
    folder.content["annotations"] = [triangle(segmentation=[outside, *triangle()["segmentation"]])]
    assert folder.load().ground_truth().anns[1]["segmentation"] == triangle()["segmentation"]


def test_polygon_at_the_edge_of_the_image_stays(folder):
    folder.content["annotations"] = [triangle(segmentation=[[-20, 5, 1, 5, 1, 35]], bbox=[0, 5, 1, 30])]
    assert folder.example()["masks"].any()


def test_degenerate_polygon_beside_a_good_one_is_left_out(folder):
    folder.content["annotations"] = [triangle(segmentation=[[1, 1, 2, 2], *triangle()["segmentation"]])]
    source = folder.load()
    assert source.ground_truth().anns[1]["segmentation"] == triangle()["segmentation"]


# Kinds of images


def test_grey_alpha_palette_and_16_bit_images(folder):
    rgb = np.asarray(folder.picture)
    grey = np.asarray(folder.picture.convert("L"))
    alpha = folder.picture.convert("RGBA")
    alpha.putalpha(100)
    palette = folder.picture.quantize(256)
    deep = Image.fromarray(grey.astype(np.uint16) * 256 + 77)
    pictures = {
        "grey.png": (folder.picture.convert("L"), grey[..., None]),
        "alpha.png": (alpha, rgb),
        "grey_alpha.png": (folder.picture.convert("LA"), grey[..., None]),
        "palette.png": (palette, np.asarray(palette.convert("RGB"))),
        "deep.png": (deep, grey[..., None]),
        "plain.bmp": (folder.picture, rgb),
        "animation.gif": (palette, np.asarray(palette.convert("RGB"))),
    }
    for image_id, (name, (picture, _)) in enumerate(pictures.items(), start=2):
        folder.add_image(image_id, name, picture)
    for example, (_, expected) in zip(read_examples(folder.load())[1:], pictures.values(), strict=True):
        np.testing.assert_array_equal(example["image"], np.broadcast_to(expected, rgb.shape))


def test_webp_with_and_without_transparency(folder):
    alpha = folder.picture.convert("RGBA")
    alpha.putalpha(100)
    for image_id, (name, picture) in enumerate({"plain.webp": folder.picture, "alpha.webp": alpha}.items(), start=2):
        folder.save(picture, name, lossless=True)
        folder.content["images"].append({"id": image_id, "file_name": name, "height": HEIGHT, "width": WIDTH})
    for example in read_examples(folder.load())[1:]:
        np.testing.assert_array_equal(example["image"], np.asarray(folder.picture))


def test_grey_and_cmyk_jpeg(folder):
    folder.add_image(2, "grey.jpg", folder.picture.convert("L"))
    folder.add_image(3, "cmyk.jpg", folder.picture.convert("CMYK"))
    _, grey, cmyk = (example["image"].astype(int) for example in read_examples(folder.load()))
    rgb = np.asarray(folder.picture).astype(int)
    assert (grey[..., 0] == grey[..., 2]).all()
    assert abs(grey[..., 0] - np.asarray(folder.picture.convert("L"))).mean() < 3
    assert abs(cmyk - rgb).mean() < 10


def test_contents_decide_about_the_format_not_the_name(folder):
    folder.save(folder.picture, "one.jpg", format="PNG")
    folder.content["images"][0]["file_name"] = "one.jpg"
    np.testing.assert_array_equal(folder.example()["image"], np.asarray(folder.picture))


@pytest.mark.parametrize("annotated", ["upright", "as stored"])
def test_photograph_that_exif_turns_stays_with_its_boxes_and_masks(folder, annotated):
    # A picture whose instance is the only bright part, stored lying on its side.
    upright = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    upright[5:35, 10:30] = 255
    stored = Image.fromarray(np.rot90(upright)) if annotated == "upright" else Image.fromarray(upright)
    exif = stored.getexif()
    # 6: to be turned by 90 degrees clockwise.
    exif[0x0112] = 6
    folder.save(stored, "one.jpg", exif=exif, quality=95)
    folder.content["images"][0]["file_name"] = "one.jpg"
    folder.content["annotations"] = [rectangle_runs(compressed=True)]
    example = folder.example()
    assert example["image"].shape == (HEIGHT, WIDTH, 3) and example["masks"].all()
    ymin, xmin, ymax, xmax = example["boxes"][0].astype(int)
    bright = example["image"][..., 0] > 128
    assert bright[ymin:ymax, xmin:xmax].all() and bright.sum() == (ymax - ymin) * (xmax - xmin)


# Files that are wrong


def test_missing_annotation_file(folder):
    folder.annotations.mkdir()
    assert folder.error() == f"data.train.annotations: {folder.annotations}: cannot be read: Is a directory"
    folder.annotations.rmdir()
    with pytest.raises(UserError, match=r"^data.train.annotations: .*no such file; expected images and"):
        open_source(folder.config())


def test_missing_images_folder(folder):
    folder.images.rename(folder.images.with_name("elsewhere"))
    assert folder.error().startswith(f"data.train.images: {folder.images}: no such folder; expected images")


def test_missing_data_say_where_coco_comes_from_and_which_formats_voc_has(folder):
    with pytest.raises(UserError) as error:
        open_source(folder.config())
    for source in ("COCO's JSON format", "cocodataset.org", "the formats voc and sbd"):
        assert source in str(error.value)
    assert "\n" not in str(error.value)


def test_json_that_is_nested_too_deeply(folder):
    folder.annotations.write_text("[" * 200_000)
    assert folder.error() == f"data.train.annotations: {folder.annotations}: not COCO JSON: nested too deeply"


@pytest.mark.parametrize("text", ["not json", "", '{"images": [', "9" * 5000])
def test_annotations_that_are_not_json(folder, text):
    folder.annotations.write_bytes(text.encode("latin-1"))
    assert f"{folder.annotations}: not JSON" in folder.error()


def test_other_encodings_than_utf_8(folder):
    text = json.dumps(folder.content).replace("kite", "Höhe")
    for encoding in ("utf-16", "latin-1"):
        folder.annotations.write_bytes(text.encode(encoding))
        assert folder.error() == f"data.train.annotations: {folder.annotations}: not UTF-8 text; save it as UTF-8"
    folder.annotations.write_bytes(text.encode("utf-8-sig"))
    assert folder.load().class_names == ["apple", "Höhe"]


@pytest.mark.parametrize("content", [[], 3, {}, {"images": [], "annotations": []}, {"images": 3}])
def test_json_that_is_not_coco(folder, content):
    folder.annotations.write_text(json.dumps(content))
    assert f"{folder.annotations}: not COCO JSON: expected an object with the lists" in folder.error()


@pytest.mark.parametrize(
    "field, expected",
    [
        ("images", "images[0]: not COCO JSON: expected an object with id of type int"),
        ("categories", "categories[0]: not COCO JSON: expected an object with id of type int"),
        ("annotations", "annotations[0]: not COCO JSON: expected an object with image_id of type int"),
    ],
)
def test_entries_that_are_not_coco(folder, field, expected):
    folder.content[field] = [{"name": "x"}]
    assert expected in folder.error()


@pytest.mark.parametrize("field", ["images", "categories"])
def test_empty_lists(folder, field):
    folder.content[field] = []
    assert f"{folder.annotations}: the list {field} is empty" in folder.error()


# Problems that a data set can do without

PROBLEMS_OF_IMAGES = [
    ({"height": 0}, "images of an impossible size", "image id 2: height and width must be from 1 to"),
    ({"width": -1}, "images of an impossible size", "image id 2: height and width must be from 1 to"),
    ({"height": 2**31}, "images of an impossible size", "image id 2: height and width must be from 1 to"),
    ({"height": 10**400}, "images of an impossible size", "image id 2: height and width must be from 1 to"),
    ({"height": np.nan}, "entries that are not COCO's", "images[1]: not COCO JSON: expected an object with height of"),
    ({"id": np.nan}, "entries that are not COCO's", "images[1]: not COCO JSON: expected an object with id of type int"),
    ({"id": 2**63}, "ids that are too large", f"images[1]: expected an id of at most {2**63 - 1}"),
    ({"id": 1}, "image ids that stand there twice", "images[1]: id 1 stands there twice"),
    ({"file_name": "../one.png"}, "file names that leave the images folder", "'../one.png' lies outside"),
    ({"file_name": "a/../../one.png"}, "file names that leave the images folder", "'a/../../one.png' lies outside"),
    ({"file_name": "/etc/hostname"}, "file names that leave the images folder", "'/etc/hostname' lies outside"),
    ({"file_name": "\ud800.png"}, "impossible file names", r"'\ud800.png' cannot be the name of a file"),
    ({"file_name": "a\0.png"}, "impossible file names", r"'a\x00.png' cannot be the name of a file"),
    ({"file_name": "none.png"}, "images without a file", "image id 2 has no file"),
    ({"file_name": "n" * 999}, "images without a file", "image id 2 has no file"),
]


@pytest.mark.parametrize(("change", "kind", "expected"), PROBLEMS_OF_IMAGES)
def test_images_that_cannot_be_used(folder, caplog, change, kind, expected):
    folder.add_image(2, "two.png")
    folder.content["annotations"].append(triangle(image_id=2))
    folder.content["images"][1].update(change)
    if "id" in change:
        del folder.content["annotations"][1]
    assert expected in folder.error(strict=True)
    with caplog.at_level(logging.WARNING):
        source = folder.load()
    assert source.ground_truth().getImgIds() == [1] and len(source.ground_truth().anns) == 1
    assert source.size == 1 and source.image_path(1) == str(folder.images / "one.png")
    assert caplog.messages == [f"data.train.annotations: {folder.annotations}: skipped {kind} (1)"]


TRIANGLE = triangle()["segmentation"]
BOX = "boxes that are empty, outside of the image or no numbers"
POLYGONS = "polygons that are degenerate or outside of the image"
PROBLEMS_OF_ANNOTATIONS = [
    (3, "skipped entries that are not COCO's", "not COCO JSON: expected an object with image_id of type int"),
    ({"image_id": 99}, "skipped annotations of unknown images", "image id 99 isn't in the list images"),
    ({"category_id": 99}, "skipped annotations of unknown categories", "category id 99 isn't in the list categories"),
    ({"category_id": np.nan}, "skipped entries that are not COCO's", "not COCO JSON: expected an object with"),
    ({"iscrowd": np.nan}, "skipped annotations whose iscrowd is neither 0 nor 1", "expected an iscrowd of 0 or 1"),
    ({"segmentation": None}, "skipped instances without a segmentation", "expected polygons or run lengths"),
    ({"segmentation": [[10, 5, 30, 5]]}, f"skipped {POLYGONS}", "expected polygons of three points or more"),
    ({"segmentation": [[10, 5, 30, 5, 30, np.nan]]}, f"skipped {POLYGONS}", "expected polygons of three points"),
    ({"segmentation": [[1, 1, 2, 2], *TRIANGLE]}, "repaired degenerate polygons beside good ones", "has a polygon"),
    (
        {"segmentation": {"size": [HEIGHT, WIDTH + 1], "counts": [HEIGHT * (WIDTH + 1)]}},
        "skipped masks of another size than the image's",
        "has a mask of size [40, 61]; expected [40, 60], as the image is",
    ),
    (
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": [np.nan, 1]}},
        "skipped unreadable run lengths",
        "has run lengths that cannot be read",
    ),
    ({"bbox": [10, 5, 0, 30]}, f"repaired {BOX}", "found [10, 5, 0, 30]"),
    ({"bbox": [100, 100, 5, 5]}, f"repaired {BOX}", "found [100, 100, 5, 5]"),
    ({"bbox": [10, 5, np.nan, 30]}, f"repaired {BOX}", "found [10, 5, nan, 30]"),
    ({"bbox": [10, 5, np.inf, 30]}, f"repaired {BOX}", "found [10, 5, inf, 30]"),
    ({"area": np.nan}, "repaired areas that are no numbers", "expected a number as area, found nan"),
    ({"id": 5}, "renumbered annotation ids that stand there twice", "id 5 stands there twice"),
    ({"id": np.nan}, "renumbered annotation ids that are no whole numbers", "expected an id, found nan"),
]


@pytest.mark.parametrize(("change", "consequence", "expected"), PROBLEMS_OF_ANNOTATIONS)
def test_annotations_that_are_wrong(folder, caplog, change, consequence, expected):
    folder.content["annotations"].append(triangle(id=6, bbox=None) | change if isinstance(change, dict) else change)
    message = folder.error(strict=True)
    assert "annotations[1]: " in message and expected in message
    with caplog.at_level(logging.WARNING):
        ground_truth = folder.load().ground_truth()
    assert len(ground_truth.anns) == (1 if "skipped" in consequence else 2)
    assert all(annotation["segmentation"] == TRIANGLE for annotation in ground_truth.anns.values())
    for annotation in ground_truth.anns.values():
        np.testing.assert_allclose(annotation["bbox"], [10, 5, 20, 30], atol=1)
    assert caplog.messages == [f"data.train.annotations: {folder.annotations}: {consequence} (1)"]


def test_without_an_image_that_can_be_used_nothing_goes_on(folder):
    folder.add_image(2, "two.png")
    (folder.images / "one.png").unlink()
    (folder.images / "two.png").unlink()
    folder.content["annotations"][0]["image_id"] = 99
    example = f"image id 1 has no file {folder.images / 'one.png'}"
    assert folder.error(strict=False) == (
        f"data.train.annotations: {folder.annotations}: skipped images without a file (2); no image is left; "
        f"for example {example}"
    )


@pytest.mark.parametrize("number", [2**63, -(2**63), 10**400])
def test_categories_with_ids_that_are_too_large(folder, number):
    folder.content["categories"][0]["id"] = number
    assert f"categories[0]: expected an id of at most {2**63 - 1}" in folder.error(strict=False)


def test_categories_whose_names_are_no_text(folder):
    folder.content["categories"][0]["name"] = "\ud800x"
    assert r"categories[0]: the name '\ud800x' cannot be written as UTF-8" in folder.error(strict=False)


def test_whole_numbers_may_be_written_as_fractions(folder):
    (image,), (annotation,), (category, _) = folder.content.values()
    for entry, fields in ((image, ("id", "height", "width")), (category, ["id"]), (annotation, ("id", "category_id"))):
        entry.update({field: float(entry[field]) for field in fields})
    annotation.update(image_id=1.0, iscrowd=0.0)
    ground_truth = folder.load(strict=True).ground_truth()
    assert (ground_truth.getImgIds(), ground_truth.getCatIds()) == ([1], [3, 7])
    assert all(isinstance(i, int) for i in (*ground_truth.getImgIds(), *ground_truth.getCatIds()))
    folder.annotations.unlink()
    annotation["category_id"] = 7.5
    assert "expected an object with category_id of type int" in folder.error()


def test_categories_with_the_same_id(folder):
    folder.content["categories"][0]["id"] = 3
    assert folder.error(strict=False).endswith("categories: id 3 stands there twice")


def test_the_largest_ids(folder):
    folder.content["images"][0]["id"] = folder.content["annotations"][0]["image_id"] = 2**63 - 1
    assert folder.example()["image_id"] == 2**63 - 1


def encoded(picture, image_format):
    buffer = io.BytesIO()
    picture.save(buffer, image_format)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "name, content",
    [
        ("truncated.jpg", lambda picture: encoded(picture, "JPEG")[:-300]),
        ("truncated.png", lambda picture: encoded(picture, "PNG")[:-40]),
        ("text é [1].png", lambda picture: b"hello"),
        ("empty.jpg", lambda picture: b""),
    ],
)
def test_file_that_cannot_be_decoded_is_named(folder, name, content):
    folder.add_image(2, name)
    folder.content["annotations"].append(triangle(image_id=2))
    (folder.images / name).write_bytes(content(folder.picture))
    source, config = folder.load(), data_config(folder.config())
    for batches in (training_batches(source, config, 1, seed=0), evaluation_batches(source, config)):
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            list(batches.take(2))
        problem = "not an image that can be read; expected JPEG, PNG, GIF, BMP or WebP"
        assert describe_data_error(caught.value) == f"{folder.images / name}: {problem}"
    config = config.model_copy(update={"strict": False})
    (batch,) = training_batches(source, config, 2, seed=0).take(1).as_numpy_iterator()
    assert batch["image_ids"].tolist() == [1, 1] and sorted(batch["skipped"]) == [-1, 1]
    assert [batch["image_ids"].tolist() for batch in evaluation_batches(source, config).as_numpy_iterator()] == [[1]]


def test_image_of_another_size_than_annotated_is_named(folder):
    folder.save(folder.picture.resize((WIDTH, HEIGHT + 1)))
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        read_examples(folder.load())
    message = describe_data_error(caught.value)
    assert message == f"{folder.images / 'one.png'}: is 60 x 41 pixels, but the annotations say 60 x 40"


def test_other_errors_are_not_described():
    assert describe_data_error(tf.errors.InvalidArgumentError(None, None, "shapes differ")) is None


# Real photographs


@pytest.mark.skipif(not COCO100.is_dir(), reason="needs the sample of COCO")
def test_coco100():
    config = CocoDataset(
        format="coco", images=COCO100 / "images", annotations=COCO100 / "instances.json", max_images=12
    )
    source = open_source(config, 56)
    assert len(source.class_names) == 80 and source.size == 12
    ground_truth = source.ground_truth()
    for batch in evaluation_batches(source, data_config(config)).as_numpy_iterator():
        annotations = ground_truth.imgToAnns[int(batch["image_ids"][0])]
        assert len(annotations) == batch["boxes"].shape[1]
        for annotation, mask, label in zip(annotations, batch["masks"][0], batch["classes"][0], strict=True):
            x, y, width, height = np.round(annotation["bbox"]).astype(int)
            whole = ground_truth.annToMask(annotation)
            assert source.category_ids[label - 1] == annotation["category_id"]
            if min(width, height) >= 28:
                assert abs(mask.mean() - whole[y : y + height, x : x + width].mean()) < 0.03
