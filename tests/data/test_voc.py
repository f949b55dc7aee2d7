"""PASCAL VOC's own masks: what is read, and what is said about files that are wrong."""

import logging

import numpy as np
import pytest
from PIL import Image

from fcis_tf.config import DataConfig, VocDataset
from fcis_tf.data import training_batches
from fcis_tf.errors import UserError
from tests.data.sources import open_source, read_examples
from tests.data.voc_folders import (
    HEIGHT,
    LABELS,
    NUMBERS,
    WIDTH,
    border,
    write_indices,
    write_lines,
    write_photograph,
    write_voc,
)

VOC_URL = "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/"


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "VOC2012"
    write_voc(path, train=["2007_000032", "2007_000039"], val=["2007_000033"])
    return path


def load(root, split="val", strict=False, **keys):
    return open_source(VocDataset(format="voc", root=root, split=split, **keys), split="eval", strict=strict)


def error(root, split="val", strict=True):
    with pytest.raises(UserError) as caught:
        load(root, split, strict)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def masks_path(root, folder="SegmentationObject"):
    return root / folder / "2007_000033.png"


# What is read


def test_splits_and_classes(root):
    source = load(root, "train")
    assert source.size == 2 and source.image_path(2) == str(root / "JPEGImages" / "2007_000039.jpg")
    assert load(root, "val").size == load(root, "train", max_images=1).size == 1
    assert source.class_names[:2] == ["aeroplane", "bicycle"] and source.category_ids == list(range(1, 21))


def test_the_void_border_belongs_to_no_instance(root):
    ground_truth = load(root).ground_truth()
    assert [annotation["category_id"] for annotation in ground_truth.anns.values()] == list(LABELS)
    for number, annotation in ground_truth.anns.items():
        np.testing.assert_array_equal(ground_truth.annToMask(annotation), (NUMBERS == number) & ~border(NUMBERS))
    (example,) = read_examples(load(root))
    assert example["image"].shape == (HEIGHT, WIDTH, 3) and not example["is_crowd"].any()
    np.testing.assert_array_equal(example["boxes"], [[6, 11, 34, 29], [21, 26, 38, 49]])


def test_numbers_with_gaps(root):
    objects = np.where(NUMBERS == 2, 9, NUMBERS)
    write_indices(masks_path(root), objects)
    write_indices(masks_path(root, "SegmentationClass"), np.array([0, *LABELS])[NUMBERS])
    ground_truth = load(root).ground_truth()
    np.testing.assert_array_equal(ground_truth.annToMask(ground_truth.anns[2]), NUMBERS == 2)


def test_an_object_is_of_the_class_of_most_of_its_pixels_void_aside(root):
    classes = np.array([0, *LABELS])[NUMBERS]
    classes[5:20, 10:30] = 255
    classes[20:22, 10:20] = 3
    write_indices(masks_path(root, "SegmentationClass"), classes)
    assert read_examples(load(root))[0]["classes"].tolist() == list(LABELS)


def test_grey_pictures_hold_indices_too(root):
    Image.fromarray(NUMBERS).save(masks_path(root))
    assert read_examples(load(root))[0]["classes"].tolist() == list(LABELS)


def test_an_image_without_instances(root):
    for folder in ("SegmentationObject", "SegmentationClass"):
        write_indices(masks_path(root, folder), NUMBERS * 0)
    source = load(root)
    assert not len(source.training_indices) and read_examples(source)[0]["masks"].shape == (0, 28, 28)


def test_batches_to_train_on(root):
    config = VocDataset(format="voc", root=root, split="train")
    config = DataConfig(train=config, eval=config, short_side=80, long_side=160, horizontal_flip=False)
    batch = next(iter(training_batches(load(root, "train"), config, 2, seed=0)))
    assert batch["images"].shape == (2, 80, 128, 3) and batch["masks"].shape == (2, 2, 28, 28)
    assert batch["classes"].numpy().tolist() == [list(LABELS)] * 2
    np.testing.assert_allclose(batch["boxes"][0], [[12, 22, 68, 58], [42, 52, 76, 98]])


# Files that are wrong


def test_missing_root(tmp_path):
    message = error(tmp_path / "missing")
    assert message.startswith(f"data.eval.root: {tmp_path / 'missing'}: no such folder; expected PASCAL VOC's folder")
    assert message.endswith(VOC_URL)


def test_missing_split(root):
    path = root / "ImageSets" / "Segmentation" / "val.txt"
    path.unlink()
    message = error(root)
    assert message.startswith(f"data.eval.root: {path}: no such file; expected PASCAL VOC's folder VOC2012")
    assert message.endswith(VOC_URL)


def assert_is_a_problem(root, caplog, expected, kind):
    """What is wrong with the only image of val and the first of trainval costs that image, or is an error."""
    lists = root / "ImageSets" / "Segmentation"
    where = f"data.eval.root: {lists / 'val.txt'}: "
    assert error(root).startswith(f"{where}{expected}")
    message = error(root, strict=False)
    assert message.startswith(f"{where}skipped {kind} (1); no image is left; for example {expected}")
    write_lines(lists / "trainval.txt", ["2007_000033", "2007_000039"])
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        source = load(root, "trainval")
    assert source.image_path(2) == str(root / "JPEGImages" / "2007_000039.jpg")
    assert source.ground_truth().getImgIds() == [2]
    assert caplog.messages == [f"data.eval.root: {lists / 'trainval.txt'}: skipped {kind} (1)"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("JPEGImages/2007_000033.jpg", "images without a file"),
        ("SegmentationObject/2007_000033.png", "masks without a file"),
        ("SegmentationClass/2007_000033.png", "masks without a file"),
    ],
)
def test_missing_file(root, caplog, name, kind):
    (root / name).unlink()
    assert_is_a_problem(root, caplog, f"{root / name}: no such file", kind)


def test_id_that_leaves_the_folder(root):
    path = root / "ImageSets" / "Segmentation" / "val.txt"
    write_lines(path, ["../2007_000033"])
    expected = "expected one image id a line, such as 2008_000002, found '../2007_000033'"
    assert error(root) == f"data.eval.root: {path}: {expected}"


def test_sizes_that_differ(root, caplog):
    photograph = root / "JPEGImages" / "2007_000033.jpg"
    write_photograph(photograph, size=(WIDTH + 1, HEIGHT))
    objects, classes = masks_path(root), masks_path(root, "SegmentationClass")
    expected = f"{photograph}: is 61 x 40 pixels; expected 60 x 40, as its masks in {objects} are"
    assert_is_a_problem(root, caplog, expected, "masks of another size than the image's")
    write_indices(objects, NUMBERS[1:])
    expected = f"{objects} is 60 x 39 pixels, but {classes} 60 x 40; expected the same"
    assert_is_a_problem(root, caplog, expected, "masks of different sizes")


@pytest.mark.parametrize("label", [0, 21, 255])
def test_classes_that_are_not_vocs(root, label):
    classes = np.array([0, LABELS[0], label])[NUMBERS]
    write_indices(masks_path(root, "SegmentationClass"), classes)
    assert f"{masks_path(root)}: instance 2 is of class {label}; expected 1 to 20" in error(root)
    assert read_examples(load(root))[0]["classes"].tolist() == [LABELS[0]]


@pytest.mark.parametrize("folder", ["SegmentationObject", "SegmentationClass"])
def test_masks_that_cannot_be_read(root, caplog, folder):
    path = masks_path(root, folder)
    whole = path.read_bytes()
    for content in (b"", b"hello", whole[: len(whole) // 2]):
        path.write_bytes(content)
        expected = f"{path}: not an image that can be read; expected PNG"
        assert_is_a_problem(root, caplog, expected, "masks that cannot be read")


def test_photograph_that_cannot_be_read(root, caplog):
    path = root / "JPEGImages" / "2007_000033.jpg"
    path.write_bytes(path.read_bytes()[:20])
    expected = f"{path}: not an image that can be read; expected JPEG"
    assert_is_a_problem(root, caplog, expected, "images that cannot be read")


def test_colours_in_place_of_indices(root, caplog):
    path = masks_path(root)
    Image.open(path).convert("RGB").save(path)
    expected = f"{path}: is a picture of mode RGB; expected PNG with a palette, one index a pixel"
    assert_is_a_problem(root, caplog, expected, "masks that cannot be read")
