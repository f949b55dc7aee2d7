"""SBD's masks of PASCAL VOC: what is read, and what is said about files that are wrong."""

import logging
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from fcis_tf.config import DataConfig, SbdDataset
from fcis_tf.data import training_batches
from fcis_tf.errors import UserError
from tests.data.sources import open_source, read_examples
from tests.data.voc_folders import (
    HEIGHT,
    LABELS,
    NUMBERS,
    WIDTH,
    write_instances,
    write_lines,
    write_photograph,
    write_sbd,
)

IMAGE, MASKS = "img/2008_000007.jpg", "inst/2008_000007.mat"
SBD_URL = "http://home.bharathh.info/pubs/codes/SBD/download.html"


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "dataset"
    write_sbd(path, train=["2008_000002", "2008_000003"], val=["2008_000007"])
    return path


def load(root, mask_size=28, strict=False, **keys):
    keys = keys or {"split": "val"}
    return open_source(SbdDataset(format="sbd", root=root, **keys), mask_size, strict=strict)


def error(root, strict=True, **keys):
    with pytest.raises(UserError) as caught:
        load(root, strict=strict, **keys)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def stems(source):
    return [Path(source.image_path(image_id)).stem for image_id in source.ground_truth().imgs]


# What is read


def test_classes_are_vocs(root):
    source = load(root)
    assert len(source.class_names) == 20 and source.category_ids == list(range(1, 21))
    assert source.class_names[0] == "aeroplane" and source.class_names[19] == "tvmonitor"
    assert [source.class_names[label - 1] for label in LABELS] == ["person", "horse"]


def test_own_splits(root):
    assert stems(load(root, split="train")) == ["2008_000002", "2008_000003"]
    assert stems(load(root, split="val")) == ["2008_000007"]
    assert stems(load(root, split="train", max_images=1)) == ["2008_000002"]


def test_a_list_is_cut_to_the_images_of_both_splits_that_sbd_has(root, tmp_path):
    image_list = tmp_path / "train.txt"
    write_lines(image_list, ["2008_000001", "2008_000002", "", "2008_000007  ", "2008_000008"])
    source = load(root, image_list=image_list)
    assert stems(source) == ["2008_000002", "2008_000007"] and source.size == 2
    assert stems(load(root, image_list=image_list, max_images=1)) == ["2008_000002"]


def test_instances_are_those_of_the_segmentation(root):
    (example,) = read_examples(load(root, mask_size=60))
    assert example["image"].shape == (HEIGHT, WIDTH, 3) and example["image_id"] == 1
    assert example["classes"].tolist() == list(LABELS) and not example["is_crowd"].any()
    # The first is cut off by the second in its lower right corner.
    np.testing.assert_array_equal(example["boxes"], [[5, 10, 35, 30], [20, 25, 39, 50]])
    # 60 is a multiple of both sides of the first box: every pixel becomes a block.
    visible = (NUMBERS == 1)[5:35, 10:30]
    np.testing.assert_array_equal(example["masks"][0], visible.repeat(2, axis=0).repeat(3, axis=1))


def test_ground_truth_equals_the_segmentation(root):
    ground_truth = load(root, split="train").ground_truth()
    assert ground_truth.getImgIds() == [1, 2] and len(ground_truth.anns) == 4
    for number, annotation in enumerate(ground_truth.imgToAnns[2], start=1):
        np.testing.assert_array_equal(ground_truth.annToMask(annotation), NUMBERS == number)
        assert annotation["area"] == (NUMBERS == number).sum() and annotation["category_id"] == LABELS[number - 1]


@pytest.mark.parametrize("convert", [np.float64, np.uint16], ids=["double", "uint16"])
def test_types_that_matlab_may_have_kept(root, convert):
    write_instances(root / "inst" / "2008_000007.mat", numbers=convert(NUMBERS))
    assert read_examples(load(root))[0]["classes"].tolist() == list(LABELS)


def test_one_instance_and_an_image_of_one_row(root):
    write_instances(root / "inst" / "2008_000007.mat", numbers=np.uint8([[0, 1, 1, 0]]), labels=[20])
    write_photograph(root / "img" / "2008_000007.jpg", size=(4, 1))
    (example,) = read_examples(load(root))
    np.testing.assert_array_equal(example["boxes"], [[0, 1, 1, 3]])
    assert example["classes"].tolist() == [20]


def test_an_image_without_instances_is_not_trained_on(root):
    write_instances(root / "inst" / "2008_000002.mat", numbers=np.zeros_like(NUMBERS), labels=[])
    source = load(root, split="train")
    assert source.training_indices.tolist() == [1] and read_examples(source)[0]["masks"].shape == (0, 28, 28)


def test_instances_without_pixels_are_counted_in_one_warning(root, caplog):
    for image_id in ("2008_000002", "2008_000003"):
        write_instances(root / "inst" / f"{image_id}.mat", labels=[15, 13, 7])
    with caplog.at_level(logging.WARNING):
        source = load(root, split="train")
    (record,) = caplog.records
    assert record.getMessage() == f"data.train.root: {root / 'train.txt'}: skipped instances without a pixel (2)"
    assert len(source.ground_truth().anns) == 4


def test_batches_to_train_on(root):
    source = load(root, split="train")
    config = SbdDataset(format="sbd", root=root, split="train")
    config = DataConfig(train=config, eval=config, short_side=80, long_side=160, horizontal_flip=False)
    batch = next(iter(training_batches(source, config, 2, seed=0)))
    assert batch["images"].shape == (2, 80, 128, 3) and batch["masks"].shape == (2, 2, 28, 28)
    assert batch["classes"].numpy().tolist() == [list(LABELS)] * 2
    np.testing.assert_allclose(batch["boxes"][0], [[10, 20, 70, 60], [40, 50, 78, 100]])


# The configuration


@pytest.mark.parametrize("keys", [{}, {"split": "train", "image_list": "train.txt"}])
def test_either_a_split_or_a_list(keys):
    with pytest.raises(ValueError, match="set either split, to train or val, or image_list"):
        SbdDataset(format="sbd", root="dataset", **keys)


# Files that are wrong


def test_missing_root(tmp_path):
    message = error(tmp_path / "missing", split="train")
    assert message.startswith(f"data.train.root: {tmp_path / 'missing'}: no such folder; expected SBD's folder dataset")
    assert message.endswith(SBD_URL)


def test_missing_split(root):
    path = root / "val.txt"
    path.unlink()
    message = error(root)
    assert message.startswith(f"data.train.root: {path}: no such file; expected SBD's folder dataset")
    assert message.endswith(SBD_URL)


def test_missing_list_of_images(root, tmp_path):
    message = error(root, image_list=tmp_path / "train.txt")
    assert message.startswith(f"data.train.image_list: {tmp_path / 'train.txt'}: no such file; expected a list")
    assert message.endswith("http://host.robots.ox.ac.uk/pascal/VOC/voc2012/")


@pytest.mark.parametrize(
    "content, expected",
    [
        (b"", "the list is empty"),
        (b"2008_000002\n../../secret\n", "expected one image id a line, such as 2008_000002, found '../../secret'"),
        (b"2008_000002 -1\n", "expected one image id a line, such as 2008_000002, found '2008_000002 -1'"),
        (b"2008_000002\n2008_000002\n", "2008_000002 stands there twice"),
        (b"\xff\xfe\x00", "not text; expected one image id a line"),
        (b"2007_000032\n", "SBD has none of these 1 images; expected a list of images such as"),
    ],
)
def test_lists_that_are_wrong(root, tmp_path, content, expected):
    image_list = tmp_path / "list.txt"
    image_list.write_bytes(content)
    assert error(root, image_list=image_list).startswith(f"data.train.image_list: {image_list}: {expected}")


def test_a_folder_in_place_of_a_list(root, tmp_path):
    assert error(root, image_list=tmp_path) == f"data.train.image_list: {tmp_path}: cannot be read: Is a directory"


def assert_is_a_problem(root, caplog, name, expected, kind):
    """What is wrong with a file of the only image of val and the first of train costs that image, or is an error."""
    where = f"data.train.root: {root / 'val.txt'}: "
    assert error(root).startswith(f"{where}{root / name}: {expected}")
    message = error(root, strict=False)
    assert message.startswith(f"{where}skipped {kind} (1); no image is left; for example {root / name}: {expected}")
    write_lines(root / "train.txt", ["2008_000007", "2008_000003"])
    with caplog.at_level(logging.WARNING):
        source = load(root, split="train")
    assert stems(source) == ["2008_000003"]
    assert [record.getMessage() for record in caplog.records] == [
        f"data.train.root: {root / 'train.txt'}: skipped {kind} (1)"
    ]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("inst/2008_000007.mat", "masks without a file"), ("img/2008_000007.jpg", "images without a file")],
)
def test_missing_file(root, caplog, name, kind):
    (root / name).unlink()
    assert_is_a_problem(root, caplog, name, "no such file", kind)


STRUCT = {"Segmentation": NUMBERS, "Categories": np.uint8([[15], [13]])}


@pytest.mark.parametrize(
    "content, expected",
    [
        ({"GTcls": STRUCT}, "has no variable GTinst"),
        ({"GTinst": {"Segmentation": NUMBERS}}, "GTinst has no field Categories"),
        ({"GTinst": {"Categories": [1]}}, "GTinst has no field Segmentation"),
        ({"GTinst": NUMBERS}, "GTinst has no field Segmentation"),
        ({"GTinst": STRUCT | {"Segmentation": NUMBERS + 0.5}}, "GTinst.Segmentation: expected an array of whole"),
        ({"GTinst": STRUCT | {"Segmentation": NUMBERS * np.nan}}, "GTinst.Segmentation: expected an array of whole"),
        ({"GTinst": STRUCT | {"Categories": "person"}}, "GTinst.Categories: expected an array of whole"),
        ({"GTinst": STRUCT | {"Segmentation": np.stack([NUMBERS] * 2)}}, "GTinst.Segmentation has shape (2, 40, 60)"),
        ({"GTinst": STRUCT | {"Segmentation": np.zeros((0, 0))}}, "GTinst.Segmentation has shape (0, 0)"),
        (
            {"GTinst": STRUCT | {"Categories": [[15]]}},
            "GTinst.Segmentation has values from 0 to 2; expected 0 to 1, as many instances as GTinst.Categories has",
        ),
        ({"GTinst": STRUCT | {"Segmentation": NUMBERS - 1.0}}, "GTinst.Segmentation has values from -1 to 1"),
    ],
)
def test_mat_files_that_are_not_sbds(root, caplog, content, expected):
    scipy.io.savemat(root / MASKS, content)
    assert_is_a_problem(root, caplog, MASKS, expected, "masks that cannot be read")


@pytest.mark.parametrize("length", [0, 3, 100, 200, 300])
def test_mat_file_that_was_cut_off(root, caplog, length):
    path = root / MASKS
    path.write_bytes(path.read_bytes()[:length])
    assert_is_a_problem(root, caplog, MASKS, "", "masks that cannot be read")


def test_text_in_place_of_a_mat_file(root, caplog):
    (root / MASKS).write_text("hello\n" * 99)
    expected = "not a MATLAB file that can be read: "
    assert_is_a_problem(root, caplog, MASKS, expected, "masks that cannot be read")


@pytest.mark.parametrize("label", [0, 21])
def test_an_instance_of_an_unknown_class(root, caplog, label):
    write_instances(root / MASKS, labels=[15, label])
    where = f"data.train.root: {root / 'val.txt'}: "
    assert error(root).startswith(f"{where}{root / MASKS}: instance 2 is of class {label}; expected 1 to 20")
    with caplog.at_level(logging.WARNING):
        assert read_examples(load(root))[0]["classes"].tolist() == [15]
    assert caplog.messages == [f"{where}skipped instances of unknown classes (1)"]


def test_image_of_another_size_than_its_masks(root, caplog):
    write_photograph(root / IMAGE, size=(WIDTH, HEIGHT + 1))
    expected = f"is 60 x 41 pixels; expected 60 x 40, as its masks in {root / MASKS} are"
    assert_is_a_problem(root, caplog, IMAGE, expected, "masks of another size than the image's")


def test_image_that_cannot_be_read(root, caplog):
    (root / IMAGE).write_text("hello")
    expected = "not an image that can be read; expected JPEG"
    assert_is_a_problem(root, caplog, IMAGE, expected, "images that cannot be read")


@pytest.mark.parametrize("is_upright", [True, False])
def test_masks_of_the_upright_image_or_of_the_image_as_stored(root, is_upright):
    colors = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    colors[:10, :10] = 255
    exif = Image.Exif()
    exif[0x0112] = 8
    stored = np.rot90(colors, -1) if is_upright else colors
    Image.fromarray(stored).save(root / IMAGE, exif=exif, quality=100)
    (example,) = read_examples(load(root, strict=True))
    np.testing.assert_allclose(example["image"], colors, atol=20)
