"""TFRecord files in Model Garden's layout: written, read back, read and written by Model Garden, and damaged."""

import json
import logging
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml
from PIL import Image

from fcis_tf.config import CocoDataset, Config, DataConfig, DigitsDataset, SbdDataset, TfrecordDataset, VocDataset
from fcis_tf.data import describe_data_error, training_batches
from fcis_tf.data.mask_crops import encode_runs
from fcis_tf.data.tfrecord import record_writer
from fcis_tf.data.tfrecord.conversion import convert
from fcis_tf.errors import UserError
from fcis_tf.evaluation import evaluate
from tests.data.sources import open_source, read_examples
from tests.data.test_coco import COCO100
from tests.data.voc_folders import write_sbd, write_voc
from tests.evaluation.test_evaluate import TruePredictor

HEIGHT, WIDTH = 40, 60
ROOT = Path(__file__).resolve().parents[2]
DIGITS = DigitsDataset(format="digits", split="train", scenes=5, height=64, width=96, max_digits=3)


def to_records(dataset_config, prefix, shards=1, strict=False, **changes):
    """Converts a data set and returns the line that says what was written."""
    data_config = DataConfig(train=dataset_config, eval=DIGITS, strict=strict)
    return convert(data_config, "train", prefix, shards, **changes)


def records_config(pattern, **changes):
    return TfrecordDataset(format="tfrecord", records=str(pattern), **changes)


def open_records(pattern, mask_size=28, strict=False, **changes):
    return open_source(records_config(pattern, **changes), mask_size, strict=strict)


def error(*arguments, **changes):
    with pytest.raises(UserError) as caught:
        open_records(*arguments, **changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def assert_same_ground_truth(found, expected):
    found, expected = found.ground_truth(), expected.ground_truth()
    assert list(found.imgs) == list(expected.imgs) and len(found.anns) == len(expected.anns)
    for one, other in zip(found.anns.values(), expected.anns.values(), strict=True):
        assert all(one[key] == other[key] for key in ("image_id", "category_id", "iscrowd"))
        # Normalised boxes are stored as float32, at sides of up to 640 pixels.
        np.testing.assert_allclose(one["bbox"], other["bbox"], atol=1e-4)
        assert one["area"] == pytest.approx(other["area"], rel=1e-6)
        np.testing.assert_array_equal(found.annToMask(one), expected.annToMask(other))


def assert_same_examples(found, expected):
    assert found.class_names == expected.class_names and found.category_ids == expected.category_ids
    np.testing.assert_array_equal(found.sizes, expected.sizes)
    np.testing.assert_array_equal(found.training_indices, expected.training_indices)
    for one, other in zip(read_examples(found), read_examples(expected), strict=True):
        assert {name: value.dtype for name, value in one.items()} == {name: v.dtype for name, v in other.items()}
        for name in ("image", "image_id", "classes", "is_crowd"):
            np.testing.assert_array_equal(one[name], other[name])
        np.testing.assert_allclose(one["boxes"], other["boxes"], atol=1e-4)
        assert one["masks"].shape == other["masks"].shape
        # Polygons are drawn anew in the frame of the crop where they are known.
        assert one["masks"].size == 0 or (one["masks"] == other["masks"]).mean() > 0.97


# There and back


@pytest.fixture
def coco_config(tmp_path):
    """A data set of COCO's format with every kind of image, polygons, a crowd, and an image without an instance."""
    folder = tmp_path / "images"
    folder.mkdir()
    colors = np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)
    picture = Image.fromarray(colors).resize((WIDTH, HEIGHT))
    alpha = picture.convert("RGBA")
    alpha.putalpha(100)
    exif = Image.Exif()
    exif[0x0112] = 3
    picture.save(folder / "plain.jpg")
    picture.save(folder / "turned.jpg", exif=exif)
    picture.save(folder / "plain.png")
    picture.save(folder / "animation.gif", save_all=True, append_images=[picture.rotate(180)])
    alpha.save(folder / "alpha.webp", lossless=True)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[5:35, 10:30] = 1
    # Model Garden takes no other runs than these.
    runs = {"size": [HEIGHT, WIDTH], "counts": encode_runs(mask.T).tolist()}
    names = sorted(path.name for path in folder.iterdir())
    content = {
        "images": [{"id": 10 * i, "file_name": n, "height": HEIGHT, "width": WIDTH} for i, n in enumerate(names, 1)],
        "categories": [{"id": 7, "name": "kite"}, {"id": 3, "name": "apple"}],
        "annotations": [
            annotation(10, 7, [[10, 5, 30.3, 5, 30.3, 35]]),
            annotation(10, 3, runs, iscrowd=1),
            annotation(20, 3, [[10, 5, 30, 5, 30, 35], [1, 1, 9.5, 1, 9.5, 9]], bbox=[1, 1, 29, 34]),
            annotation(40, 7, [[40, 5, 60, 5, 60, 40]], bbox=[40, 5, 20, 35]),
            annotation(50, 7, [[10, 5, 30, 5, 30, 35]]),
        ],
    }
    annotations = tmp_path / "instances.json"
    annotations.write_text(json.dumps(content))
    return CocoDataset(format="coco", images=folder, annotations=annotations)


def annotation(image_id, category_id, segmentation, **changes):
    content = {"image_id": image_id, "category_id": category_id, "segmentation": segmentation, "iscrowd": 0}
    return content | {"bbox": [10, 5, 20.3, 30], "area": 300.5} | changes


def test_coco_and_back(coco_config, tmp_path):
    line = to_records(coco_config, tmp_path / "new" / "train", shards=2)
    assert line == f"{tmp_path}/new/train-*.tfrecord: 5 images in 2 files"
    source, expected = open_records(tmp_path / "new" / "train-*.tfrecord"), open_source(coco_config)
    assert_same_examples(source, expected)
    assert_same_ground_truth(source, expected)
    assert source.ground_truth().cats == {7: {"id": 7, "name": "kite"}, 3: {"id": 3, "name": "apple"}}


def test_sbd_and_voc_and_back(tmp_path):
    write_sbd(tmp_path / "sbd", train=["2008_000002", "2008_000003"], val=["2008_000007"])
    write_voc(tmp_path / "voc", val=["2007_000033", "2007_000042"])
    configs = {
        "sbd": SbdDataset(format="sbd", root=tmp_path / "sbd", split="train"),
        "voc": VocDataset(format="voc", root=tmp_path / "voc", split="val"),
    }
    for name, config in configs.items():
        to_records(config, tmp_path / name)
        source, expected = open_records(tmp_path / f"{name}-*.tfrecord"), open_source(config)
        assert source.class_names == expected.class_names
        assert_same_ground_truth(source, expected)


def test_digits_and_back(digit_records, tmp_path):
    # Copies are younger than their index says: it is made anew.
    for name, contents in digit_records.items():
        (tmp_path / name).write_bytes(contents)
    source, expected = open_records(tmp_path / "train-*.tfrecord"), open_source(DIGITS)
    assert_same_examples(source, expected)
    assert_same_ground_truth(source, expected)


@pytest.mark.skipif(not COCO100.is_dir(), reason="needs the sample of COCO")
@pytest.mark.parametrize("images", [8, pytest.param(100, marks=pytest.mark.slow)])
def test_photographs_and_back(tmp_path, images):
    annotations = COCO100 / "instances.json"
    config = CocoDataset(format="coco", images=COCO100 / "images", annotations=annotations, max_images=images)
    to_records(config, tmp_path / "coco", shards=3)
    source, expected = open_records(tmp_path / "coco-*"), open_source(config)
    assert_same_ground_truth(source, expected)
    stored = [image_bytes(record) for path in sorted(tmp_path.glob("*.tfrecord")) for record in read_records(path)]
    assert stored == [Path(expected.image_path(image_id)).read_bytes() for image_id in expected.ground_truth().imgs]


def read_records(path):
    return list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())


def image_bytes(record):
    return tf.train.Example.FromString(record).features.feature["image/encoded"].bytes_list.value[0]


# Model Garden


def test_model_gardens_decoder_reads_what_is_written(coco_config, tmp_path):
    from official.vision.dataloaders.tf_example_decoder import TfExampleDecoder

    to_records(coco_config, tmp_path / "train")
    source = open_source(coco_config)
    ground_truth = source.ground_truth()
    decode = TfExampleDecoder(include_mask=True).decode
    (path,) = tmp_path.glob("*.tfrecord")
    for record, example in zip(read_records(path), read_examples(source), strict=True):
        decoded = decode(tf.constant(record))
        assert int(decoded["source_id"]) == example["image_id"]
        assert (decoded["height"], decoded["width"]) == (HEIGHT, WIDTH)
        np.testing.assert_array_equal(decoded["image"], example["image"])
        annotations = ground_truth.imgToAnns[example["image_id"]]
        boxes = decoded["groundtruth_boxes"] * [HEIGHT, WIDTH, HEIGHT, WIDTH]
        np.testing.assert_allclose(np.reshape(boxes, [-1, 4]), example["boxes"], atol=1e-5)
        assert decoded["groundtruth_classes"].numpy().tolist() == [entry["category_id"] for entry in annotations]
        assert decoded["groundtruth_is_crowd"].numpy().tolist() == example["is_crowd"].tolist()
        np.testing.assert_allclose(decoded["groundtruth_area"], [entry["area"] for entry in annotations])
        masks = np.reshape([ground_truth.annToMask(entry) for entry in annotations], [-1, HEIGHT, WIDTH])
        np.testing.assert_array_equal(decoded["groundtruth_instance_masks"], masks)


def test_records_are_those_that_model_garden_makes(coco_config, tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs.tfrecord"
    to_records(coco_config.model_copy(update={"max_images": 2}), ours)
    write_as_model_garden(coco_config, theirs)
    (ours,) = tmp_path.glob("ours-*.tfrecord")
    # The second is the animation, which Model Garden cannot decode.
    found, expected = (tf.train.Example.FromString(read_records(path)[0]).features.feature for path in (ours, theirs))
    found["image/encoded"].Clear(), expected["image/encoded"].Clear()
    for key in ("image/key/sha256", "image/format"):
        assert found[key].WhichOneof("kind") == "bytes_list"
        found[key].Clear(), expected[key].Clear()
    assert found == expected


def write_as_model_garden(config, path, include_masks=True):
    from official.vision.data import create_coco_tf_record

    content = json.loads(config.annotations.read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    with tf.io.TFRecordWriter(str(path)) as writer:
        for image in content["images"]:
            instances = [entry for entry in content["annotations"] if entry["image_id"] == image["id"]]
            example, _ = create_coco_tf_record.create_tf_example(
                image,
                [str(config.images)],
                bbox_annotations=instances,
                id_to_name_map=names,
                include_masks=include_masks,
            )
            writer.write(example.SerializeToString())


def test_records_of_model_garden_are_read(coco_config, tmp_path):
    write_as_model_garden(coco_config, tmp_path / "train-00000-of-00001.tfrecord")
    source = open_records(tmp_path / "train-*")
    assert_same_ground_truth(source, open_source(coco_config))
    data_config = DataConfig(train=DIGITS, eval=DIGITS, short_side=32, long_side=64)
    (batch,) = training_batches(source, data_config, 3, seed=0).take(1)
    assert batch["images"].shape[0] == 3 and batch["masks"].shape[1:] == (2, 28, 28)


def test_records_without_masks(coco_config, tmp_path):
    write_as_model_garden(coco_config, tmp_path / "train.tfrecord", include_masks=False)
    assert "the records have no masks, image/object/mask; expected TFRecord files in the layout" in error(
        tmp_path / "train.tfrecord"
    )


# What is read


@pytest.fixture(scope="module")
def digit_records(tmp_path_factory):
    """The contents of the files that `DIGITS` becomes: two shards, their indices and the description."""
    folder = tmp_path_factory.mktemp("digits")
    to_records(DIGITS, folder / "train", shards=2)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Shard:
    """A TFRecord file that a test may change."""

    def __init__(self, folder, contents):
        self.path = folder / "some.tfrecord"
        self.path.write_bytes(contents)

    def examples(self):
        return [tf.train.Example.FromString(record) for record in read_records(self.path)]

    def change(self, number, change):
        """Calls a function with the features of one record, and writes the file anew."""
        examples = self.examples()
        change(examples[number].features.feature)
        with tf.io.TFRecordWriter(str(self.path)) as writer:
            for example in examples:
                writer.write(example.SerializeToString())

    def offset(self, number):
        """Returns where a record begins."""
        return sum(len(record) + 16 for record in read_records(self.path)[:number])

    def write_at(self, offset, contents):
        with open(self.path, "r+b") as file:
            file.seek(offset)
            file.write(contents)


@pytest.fixture
def shard(digit_records, tmp_path):
    """The first three scenes, without an index or a description."""
    return Shard(tmp_path, digit_records["train-00000-of-00002.tfrecord"])


def test_perfect_detections_on_records(digit_records, tmp_path):
    for name, contents in digit_records.items():
        (tmp_path / name).write_bytes(contents)
    config = Config.model_validate({"data": {"train": DIGITS, "eval": records_config(tmp_path / "train-*.tfrecord")}})
    source = open_source(config.data.eval, 112, "eval")
    metrics = evaluate(TruePredictor(source), source, config, progress=False)
    assert metrics.summary["segm"]["AP"] == pytest.approx(1.0)


def test_first_records(shard):
    source = open_records(shard.path, max_images=2)
    assert source.size == 2 and image_ids(source) == [0, 1]


def image_ids(source):
    return list(source.ground_truth().imgs)


def test_source_ids_that_are_no_numbers_give_way_to_positions(shard):
    shard.change(1, lambda features: set_bytes(features, "image/source_id", b"kitchen"))
    assert image_ids(open_records(shard.path)) == [1, 2, 3]


def test_classes_of_other_records_are_those_that_occur(shard):
    labels = {label for example in shard.examples() for label in labels_in(example.features.feature)}
    source = open_records(shard.path)
    assert source.category_ids == sorted(labels)
    assert source.class_names == [str(label - 1) for label in sorted(labels)]


def labels_in(features):
    return list(features["image/object/class/label"].int64_list.value)


def test_classes_of_a_file(shard, tmp_path):
    path = tmp_path / "classes.json"
    path.write_text(json.dumps({"categories": [{"id": i, "name": f"digit {i - 1}"} for i in range(10, 0, -1)]}))
    source = open_records(shard.path, categories=path)
    assert source.category_ids == list(range(1, 11)) and source.class_names[3] == "digit 3"
    path.write_text("{}")
    assert error(shard.path, categories=path).startswith(f"data.train.categories: {path}: expected JSON with a list")


def test_instances_of_other_categories_are_left_out(shard, tmp_path, caplog):
    label = labels_in(shard.examples()[0].features.feature)[0]
    path = tmp_path / "classes.json"
    path.write_text(json.dumps({"categories": [{"id": label, "name": "this"}]}))
    found = open_records(shard.path, categories=path).ground_truth()
    whole = open_records(shard.path).ground_truth()
    expected = [entry for entry in whole.anns.values() if entry["category_id"] == label]
    assert [entry | {"id": 0} for entry in found.anns.values()] == [entry | {"id": 0} for entry in expected]
    assert len(found.imgs) == 3 and len(expected) < len(whole.anns)
    assert "skipped instances of categories that are not listed" in caplog.text
    assert "is not listed" in error(shard.path, categories=path, strict=True)


def test_index_is_made_once_and_anew_for_another_file(shard, monkeypatch):
    index = shard.path.with_name("some.tfrecord.index.npz")
    open_records(shard.path)
    written = index.stat().st_mtime_ns
    open_records(shard.path)
    assert index.stat().st_mtime_ns == written
    shard.change(0, lambda features: set_bytes(features, "image/source_id", b"99"))
    assert image_ids(open_records(shard.path)) == [99, 1, 2]
    index.write_bytes(index.read_bytes()[:100])
    assert image_ids(open_records(shard.path)) == [99, 1, 2]
    assert open_records(shard.path.with_name("some*")).size == 3


def test_folder_that_cannot_be_written_to(shard):
    shard.path.with_name("some.tfrecord.index.npz").mkdir()
    assert open_records(shard.path).size == 3
    assert len(list(shard.path.parent.iterdir())) == 2


# Records that are damaged


def set_bytes(features, key, *values):
    features[key].bytes_list.value[:] = values


def summary(shard, caplog):
    """Opens the records, which are to be damaged, twice and returns the source and what is said of them."""
    with caplog.at_level(logging.WARNING):
        open_records(shard.path)
        source = open_records(shard.path)
    first, second = (record.getMessage() for record in caplog.records)
    assert first == second
    return source, second.removeprefix(f"data.train.records: {shard.path}: skipped ")


def test_shard_cut_in_the_middle(shard, caplog):
    whole = open_records(shard.path).ground_truth()
    os.truncate(shard.path, shard.path.stat().st_size - 10)
    source, message = summary(shard, caplog)
    assert message == "records behind a damaged place of a file (1)"
    ground_truth = source.ground_truth()
    assert list(ground_truth.imgs) == [0, 1]
    assert list(ground_truth.anns.values()) == [entry for entry in whole.anns.values() if entry["image_id"] < 2]
    assert "some.tfrecord: ends in the middle of record 2 (" in error(shard.path, strict=True)


def header_of(length):
    """Returns a length in the eight bytes of a record's header, with its checksum by polynomial division."""
    header = struct.pack("<Q", length)
    # Bits come lowest first; the first 32 are inverted, and so is the remainder.
    bits = int.from_bytes(bytes(int(f"{byte:08b}"[::-1], 2) for byte in header), "big") << 32 ^ 0xFFFFFFFF << 64
    for position in range(95, 31, -1):
        if bits >> position & 1:
            bits ^= 0x11EDC6F41 << position - 32
    checksum = int(f"{bits ^ 0xFFFFFFFF:032b}"[::-1], 2)
    return header + struct.pack("<I", ((checksum >> 15 | checksum << 17) + 0xA282EAD8) % 2**32)


@pytest.mark.parametrize("length", [2**60, 2**64 - 1, 2**31])
def test_forged_length(shard, caplog, length):
    assert shard.path.read_bytes()[:12] == header_of(len(read_records(shard.path)[0]))
    shard.write_at(shard.offset(1), header_of(length))
    source, message = summary(shard, caplog)
    assert source.size == 1 and message == "records behind a damaged place of a file (1)"


def test_corrupt_header(shard):
    shard.write_at(shard.offset(2) + 9, b"???")
    assert open_records(shard.path).size == 2
    assert "some.tfrecord: is damaged from record 2 on" in error(shard.path, strict=True)


def test_corrupt_record(shard, caplog):
    shard.write_at(shard.offset(1) + 500, b"????")
    source, message = summary(shard, caplog)
    assert message == "damaged records (1)"
    assert image_ids(source) == [0, 2]
    assert "some.tfrecord: record 1 is one of the damaged records" in error(shard.path, strict=True)


def test_record_damaged_after_its_index_was_made(shard):
    source = open_records(shard.path)
    shard.write_at(shard.offset(1) + 500, b"????")
    assert data_error(source, 1) == f"{shard.path}: image '1': its record is damaged"
    assert list(source.ground_truth().imgs) == [0, 2]


def test_records_that_are_gone(digit_records, tmp_path, caplog):
    for name, contents in digit_records.items():
        (tmp_path / name).write_bytes(contents)
    pattern = tmp_path / "train-*.tfrecord"
    whole = open_records(pattern).size
    emptied = tmp_path / "train-00001-of-00002.tfrecord"
    emptied.write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        assert open_records(pattern).size < whole
    assert "skipped files without a record (1), missing records (1)" in caplog.text
    assert f"{emptied}: holds no record" in error(pattern, strict=True)


def data_error(source, index):
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        read_examples(source, [index])
    return describe_data_error(caught.value)


@pytest.mark.parametrize(
    "change, expected",
    [
        (lambda f: f["image/encoded"].Clear(), "records without an image"),
        (lambda f: f["image/height"].Clear(), "records without the image's height and width"),
        (lambda f: f["image/width"].int64_list.value.__setitem__(0, 2**60), "records without the image's height"),
        (lambda f: f["image/width"].int64_list.value.__setitem__(0, 97), "records with masks of another size"),
        (lambda f: f["image/object/mask"].Clear(), "records without masks"),
        (lambda f: f["image/object/mask"].bytes_list.value.pop(), "records whose boxes, classes and masks differ"),
        (lambda f: f["image/object/class/label"].int64_list.value.pop(), "records whose boxes, classes and masks"),
        (lambda f: f["image/object/bbox/xmin"].float_list.value.pop(), "records whose boxes lack sides"),
        (lambda f: set_bytes(f, "image/object/mask", *[b"?"] * masks_in(f)), "records with masks that aren't PNG"),
    ],
)
def test_records_that_contradict_themselves(shard, caplog, change, expected):
    busiest = int(np.argmax([masks_in(example.features.feature) for example in shard.examples()]))
    # One mask fewer of one is none.
    assert masks_in(shard.examples()[busiest].features.feature) > 1
    shard.change(busiest, change)
    source, message = summary(shard, caplog)
    assert source.size == 2 and message.startswith(expected)
    assert f"record {busiest} is one of the {expected}" in error(shard.path, strict=True)


def masks_in(features):
    return len(features["image/object/mask"].bytes_list.value)


def test_record_that_is_no_example(shard, caplog):
    records = [b"\xff\xff hello", b"", *read_records(shard.path)]
    with tf.io.TFRecordWriter(str(shard.path)) as writer:
        for record in records:
            writer.write(record)
    assert summary(shard, caplog)[1].startswith("damaged records (1), records that are no tf.train.Example (1)")


def test_boxes_outside_of_the_image(shard, caplog):
    sides = [(0.2, 0.6), (1.5, 2.0), (-2.0, -1.0), (0.5, 0.5), (0.6, 0.2), (np.nan, 0.5), (0.8, 1.5)]

    def repeat(features):
        for name, feature in features.items():
            if name.startswith("image/object/"):
                values = getattr(feature, feature.WhichOneof("kind")).value
                values[:] = [values[0]] * len(sides)
        for name, values in zip(("xmin", "xmax"), zip(*sides, strict=True), strict=True):
            features[f"image/object/bbox/{name}"].float_list.value[:] = values

    shard.change(0, repeat)
    source, message = summary(shard, caplog)
    assert message == "boxes that are empty or outside of the image (5)"
    (example,) = read_examples(source, [0])
    np.testing.assert_allclose(example["boxes"][:, 1::2], [[0.2 * 96, 0.6 * 96], [0.8 * 96, 96]], rtol=1e-6)
    assert len(source.ground_truth().imgToAnns[0]) == len(example["masks"]) == 2
    assert "box 1 is empty or outside of the image" in error(shard.path, strict=True)


def test_damaged_image(shard):
    (encoded,) = shard.examples()[1].features.feature["image/encoded"].bytes_list.value
    shard.change(1, lambda features: set_bytes(features, "image/encoded", encoded[:200]))
    source = open_records(shard.path)
    message = f"{shard.path}: image '1': not an image that can be read; expected JPEG, PNG, GIF, BMP or WebP"
    assert data_error(source, 1) == message
    assert image_ids(source) == [0, 1, 2]


def test_damaged_mask(shard, caplog):
    def cut(features):
        masks = features["image/object/mask"].bytes_list.value
        masks[0] = masks[0][:40]

    shard.change(1, cut)
    source = open_records(shard.path)
    assert data_error(source, 1) == f"{shard.path}: image '1': has a mask that cannot be decoded; expected PNG"
    assert image_ids(source) == [0, 2]
    assert "skipped images with a damaged mask (1)" in caplog.text
    with pytest.raises(UserError, match="image '1': has a mask that cannot be decoded"):
        open_records(shard.path, strict=True).ground_truth()


def test_files_that_are_something_else(tmp_path):
    path = tmp_path / "some.tfrecord"
    path.write_text("hello" * 10)
    assert error(path) == f"{path}: not a TFRecord file"
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        writer.write(b"hello")
    assert error(path).startswith(f"{path}: compressed records, which cannot be read one by one")
    path.write_bytes(b"")
    assert error(path).startswith(f"data.train.records: {path}: there is no usable record")


def test_no_file_of_the_name(tmp_path):
    message = (
        f"data.train.records: {tmp_path}/*.tfrecord: no file has such a name; expected TFRecord files in the layout"
    )
    assert error(tmp_path / "*.tfrecord").startswith(message)


def test_missing_shards_are_noted(digit_records, tmp_path, caplog):
    (tmp_path / "train-00000-of-00002.tfrecord").write_bytes(digit_records["train-00000-of-00002.tfrecord"])
    open_records(tmp_path / "train-*")
    assert "data.train.records: of 2 shards only 1 are there" in caplog.text


# Conversion


def test_images_that_cannot_be_read_are_left_out(coco_config, tmp_path, caplog):
    (coco_config.images / "plain.jpg").write_bytes(b"hello")
    with pytest.raises(UserError, match="plain.jpg: not an image that can be read"):
        to_records(coco_config, tmp_path / "strict", strict=True)
    assert not list(tmp_path.glob("strict-*"))
    line = to_records(coco_config, tmp_path / "train", shards=2)
    assert line.endswith("4 images in 2 files; 1 images are left out")
    assert "data.train: skipped images that cannot be read (1)" in caplog.text
    assert open_records(tmp_path / "train-*.tfrecord").size == 4


def test_interrupted_conversion_goes_on(coco_config, tmp_path, monkeypatch):
    make_example = record_writer.make_example

    def interrupt(image, *arguments):
        if image["id"] == 30:
            raise KeyboardInterrupt
        return make_example(image, *arguments)

    folder = tmp_path / "records"
    monkeypatch.setattr(record_writer, "make_example", interrupt)
    with pytest.raises(KeyboardInterrupt):
        to_records(coco_config, folder / "train", shards=3)
    first = folder / "train-00000-of-00003.tfrecord"
    assert {path.name for path in folder.iterdir()} == {first.name, f"{first.name}.index.npz", "train.records.json"}
    monkeypatch.undo()
    written = first.stat().st_mtime_ns
    line = to_records(coco_config, folder / "train", shards=3)
    assert line.endswith("5 images in 3 files, of which 1 were there already")
    assert first.stat().st_mtime_ns == written
    assert open_records(folder / "train-*.tfrecord").size == 5


def test_other_arguments_than_those_of_the_files_that_are_there(coco_config, tmp_path):
    def convert_differently(shards, **changes):
        with pytest.raises(UserError) as caught:
            to_records(coco_config.model_copy(update=changes), tmp_path / "train", shards)
        return str(caught.value)

    to_records(coco_config, tmp_path / "train", shards=2)
    message = "{}/train.records.json: describes records that differ in {}; delete it and train-* to write them anew, "
    message += "or choose another --out"
    assert convert_differently(3) == message.format(tmp_path, "shards")
    assert convert_differently(2, max_images=4) == message.format(tmp_path, "images, dataset, annotations")
    content = coco_config.annotations.read_text()
    coco_config.annotations.write_text(content.replace("300.5", "301.5"))
    assert convert_differently(2) == message.format(tmp_path, "annotations")
    (tmp_path / "train.records.json").write_text("?")
    assert "train.records.json: describes records that differ in " in convert_differently(2)


def test_data_sets_that_cannot_be_converted(digit_records, tmp_path):
    with pytest.raises(UserError, match="data.train.scenes: endless scenes cannot be converted"):
        to_records(DIGITS.model_copy(update={"scenes": 0}), tmp_path / "train")
    with pytest.raises(UserError, match="data.train: is TFRecord already"):
        to_records(records_config("*"), tmp_path / "train")
    with pytest.raises(UserError, match="--shards 6: expected at most 5"):
        to_records(DIGITS, tmp_path / "train", shards=6)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=f"--out {tmp_path}/file/train: cannot be written there: "):
        to_records(DIGITS, tmp_path / "file" / "train")


@pytest.fixture
def program(tmp_path):
    """A function that starts the program in two processes on 400 scenes, in eight files."""
    data = {"train": {**DIGITS.model_dump(), "scenes": 400}, "eval": DIGITS.model_dump()}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"data": data}))
    arguments = [
        "--config",
        str(tmp_path / "config.yaml"),
        "--split",
        "train",
        "--out",
        str(tmp_path / "out" / "train"),
    ]
    command = [sys.executable, "-m", "fcis_tf.data.to_tfrecord", *arguments, "--shards", "8", "--processes", "2"]
    return lambda: subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


@pytest.mark.slow
def test_program_in_two_processes_is_interrupted_and_goes_on(program, tmp_path):
    process = program()
    while len(list(tmp_path.glob("out/*.tfrecord"))) < 2:
        time.sleep(0.05)
    # As a terminal does: to all processes.
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "the same command writes the rest" in errors and "Traceback" not in errors
    assert not list(tmp_path.glob("out/*.partial"))
    process = program()
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0 and "400 images in 8 files, of which" in output
    source = open_records(tmp_path / "out" / "train-*.tfrecord")
    assert [int(example["image_id"]) for example in read_examples(source, [0, 170, 399])] == [0, 170, 399]
