"""Batches: preparation, padding, flips, order and resumption."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from fcis_tf.config import CocoDataset, DataConfig, DigitsDataset
from fcis_tf.data import IMAGE_MEAN, describe_data_error, evaluation_batches, pad_image, prepare_image, training_batches
from fcis_tf.data.pipeline import flip_example
from fcis_tf.errors import UserError
from tests.data.sources import open_source

SIZES = [(40, 60), (60, 40), (48, 48), (20, 90), (33, 47)]


def digits_config(**changes):
    values = {"format": "digits", "split": "train", "height": 64, "width": 80, "max_digits": 3} | changes
    return DigitsDataset(**values)


def data_config(dataset, **changes):
    values = {"short_side": 48, "long_side": 80} | changes
    return DataConfig(train=dataset, eval=digits_config(scenes=1), **values)


def batches_of(dataset, steps, seed=0, first_step=0, batch_size=2, **changes):
    source = open_source(dataset, 14)
    batches = training_batches(source, data_config(dataset, **changes), batch_size, seed, first_step)
    return list(batches.take(steps).as_numpy_iterator())


def assert_same(batch, other):
    for name in batch:
        np.testing.assert_array_equal(batch[name], other[name])


@pytest.fixture
def photographs(tmp_path):
    """A COCO data set of images of several sizes; image i has i instances, i from 1."""
    images, annotations = [], []
    for i, (height, width) in enumerate(SIZES, start=1):
        name = f"{i}.png"
        colors = np.random.default_rng(i).integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(colors).save(tmp_path / name)
        images.append({"id": i, "file_name": name, "height": height, "width": width})
        polygon = [2, 3, 17, 3, 2, 18]
        instance = {"image_id": i, "category_id": 1, "bbox": [2, 3, 15, 15], "segmentation": [polygon]}
        annotations += [instance] * i
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "thing"}]}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    return CocoDataset(format="coco", images=tmp_path, annotations=tmp_path / "instances.json")


# Preparation


@pytest.mark.parametrize(
    "size, expected",
    [((40, 60), (48, 72)), ((60, 40), (72, 48)), ((20, 90), (18, 80)), ((96, 96), (48, 48)), ((1, 500), (1, 80))],
)
def test_short_side_unless_the_long_one_grows_too_long(size, expected):
    image, scale = prepare_image(tf.zeros([*size, 3], tf.uint8), 48, 80)
    assert image.shape == (*expected, 3)
    np.testing.assert_allclose(scale, np.divide(expected, size), rtol=1e-6)


def test_mean_is_subtracted_and_padding_is_zero():
    image, _ = prepare_image(tf.fill([48, 50, 3], tf.constant(200, tf.uint8)), 48, 80)
    np.testing.assert_allclose(image[7, 9], 200 - np.array(IMAGE_MEAN), rtol=1e-5)
    padded = pad_image(image)
    assert padded.shape == (48, 64, 3)
    np.testing.assert_array_equal(padded[:, :50], image)
    assert not padded[:, 50:].numpy().any()


def test_images_of_one_size_are_prepared_together():
    images = tf.constant(np.random.default_rng(0).integers(0, 256, (2, 50, 70, 3), np.uint8))
    together, scale = prepare_image(images, 48, 80)
    padded = pad_image(together)
    for i in range(2):
        alone, its_scale = prepare_image(images[i], 48, 80)
        np.testing.assert_array_equal(together[i], alone)
        np.testing.assert_array_equal(scale, its_scale)
        np.testing.assert_array_equal(padded[i], pad_image(alone))


# Batches


def test_batches_are_padded_to_a_common_size(photographs):
    source = open_source(photographs, 14)
    (batch,) = evaluation_batches(source, data_config(photographs), batch_size=5).as_numpy_iterator()
    assert batch["images"].shape == (5, 80, 80, 3) and batch["images"].dtype == np.float32
    np.testing.assert_array_equal(batch["original_sizes"], SIZES)
    np.testing.assert_array_equal(batch["image_sizes"], [(48, 72), (72, 48), (48, 48), (18, 80), (48, 68)])
    np.testing.assert_array_equal(batch["image_ids"], [1, 2, 3, 4, 5])
    for i, (height, width) in enumerate(batch["image_sizes"]):
        content = batch["images"][i, :height, :width]
        assert np.count_nonzero(batch["images"][i]) == np.count_nonzero(content) > 0
    np.testing.assert_array_equal(batch["classes"], np.tri(5, dtype=np.int32))
    np.testing.assert_array_equal((batch["boxes"] != 0).any(axis=2), np.tri(5, dtype=bool))
    np.testing.assert_array_equal(batch["masks"].any(axis=(2, 3)), np.tri(5, dtype=bool))
    assert batch["masks"].shape == (5, 5, 14, 14) and batch["masks"].dtype == np.uint8
    assert not batch["is_crowd"].any()
    np.testing.assert_allclose(batch["boxes"][0, 0], np.array([3, 2, 18, 17]) * 1.2, rtol=1e-6)


def test_evaluation_goes_through_all_images_once_without_flips(photographs):
    source = open_source(photographs, 14)
    batches = list(evaluation_batches(source, data_config(photographs), batch_size=2).as_numpy_iterator())
    assert [batch["image_ids"].tolist() for batch in batches] == [[1, 2], [3, 4], [5]]
    # The triangle covers the upper left of its box.
    assert all(batch["masks"][0, 0, 1, 1] == 1 and batch["masks"][0, 0, -2, -2] == 0 for batch in batches)


def test_evaluation_of_an_endless_source_is_an_error():
    source = open_source(digits_config())
    with pytest.raises(UserError, match="^data.train: .*set scenes to 1 or more"):
        evaluation_batches(source, data_config(digits_config()))


def test_flip_moves_image_boxes_and_masks_together():
    image = np.zeros((20, 30, 3), np.uint8)
    image[4:14, 6:11] = 255
    image[4:9, 6:8] = 0
    mask = image[4:14, 6:11, :1].transpose(2, 0, 1) // 255
    example = {"image": tf.constant(image), "boxes": tf.constant([[4.0, 6.0, 14.0, 11.0]]), "masks": tf.constant(mask)}
    flipped = flip_example(example, tf.constant(True))
    (ymin, xmin, ymax, xmax) = flipped["boxes"].numpy()[0].astype(int)
    assert (ymin, xmin, ymax, xmax) == (4, 19, 14, 24)
    np.testing.assert_array_equal(flipped["image"][ymin:ymax, xmin:xmax, 0], flipped["masks"][0] * 255)
    assert_same(flip_example(flipped, tf.constant(True)), example)
    assert_same(flip_example(example, tf.constant(False)), example)


def test_training_flips_half_of_the_images_or_none(photographs):
    def upright(batches):
        return np.concatenate([batch["masks"][:, 0, 1, 1] for batch in batches])

    batches = batches_of(photographs, 20)
    assert 10 < upright(batches).sum() < 36
    assert upright(batches_of(photographs, 20, horizontal_flip=False)).all()


# Scales


def test_every_batch_has_a_scale_and_fine_ones_are_cropped(photographs):
    scales = {"train_scales": (24, 48, 96), "crop_size": 40}
    batches = batches_of(photographs, 24, **scales)
    found = set()
    for batch in batches:
        factors = batch["image_sizes"] / batch["original_sizes"]
        if (batch["image_sizes"].max(axis=1) <= 40).all():
            # The triangle's box is 15 x 15 pixels.
            sides = (batch["boxes"][:, 0, 2:] - batch["boxes"][:, 0, :2]) / 15
            found.add("cropped" if sides.max() > 1.3 else "small")
        else:
            found.add("whole")
            assert (np.minimum(*(batch["original_sizes"] * factors).T) <= 48).all()
        assert (batch["boxes"] >= 0).all() and (batch["classes"] == 1).any(axis=1).all()
        assert (batch["boxes"][..., 2:] <= batch["image_sizes"][:, None]).all()
        assert batch["masks"][batch["classes"] == 1].any(axis=(1, 2)).all()
    assert found == {"small", "whole", "cropped"}
    for batch, expected in zip(batches_of(photographs, 2, first_step=22, **scales), batches[22:], strict=True):
        assert_same(batch, expected)


# Files that cannot be read


@pytest.fixture
def damaged(photographs):
    """The photographs, of which the second and the third cannot be read."""
    for name in ("2.png", "3.png"):
        (photographs.images / name).write_bytes(b"not an image")
    return photographs


def test_images_that_cannot_be_read_are_replaced(damaged):
    batches = batches_of(damaged, 6)
    ids = np.concatenate([batch["image_ids"] for batch in batches])
    skipped = np.concatenate([batch["skipped"] for batch in batches])
    # Two epochs of three batches of two.
    assert set(ids) == {1, 4, 5} and set(skipped) == {-1, 1, 2} and skipped.dtype == np.int64
    assert (skipped >= 0).sum() >= 4
    for batch, expected in zip(batches_of(damaged, 3, first_step=3), batches[3:], strict=True):
        assert_same(batch, expected)


def test_nothing_is_replaced_where_the_data_must_be_right(damaged):
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        batches_of(damaged, 3, strict=True)
    assert str(damaged.images) in describe_data_error(error.value)


def test_a_data_set_without_any_image_that_can_be_read(damaged):
    for path in damaged.images.glob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        batches_of(damaged, 1)
    assert describe_data_error(error.value).startswith("data.train: 100 images in a row cannot be read")


# Workers


def test_workers_have_equal_parts_of_the_same_batches(photographs):
    def batches_of_worker(number, count):
        config = data_config(photographs, train_scales=(24, 96), crop_size=40)
        batches = training_batches(open_source(photographs, 14), config, 4, 0, 1, (number, count))
        return list(batches.take(2).as_numpy_iterator())

    for whole, first, second in zip(*(batches_of_worker(*worker) for worker in [(0, 1), (0, 2), (1, 2)]), strict=True):
        for name in ("image_ids", "image_sizes", "original_sizes", "skipped"):
            np.testing.assert_array_equal(whole[name], np.concatenate([first[name], second[name]]))
        for part, images in ((first, whole["images"][:2]), (second, whole["images"][2:])):
            height, width = part["images"].shape[1:3]
            np.testing.assert_array_equal(part["images"], images[:, :height, :width])
    with pytest.raises(UserError, match="^training.images_per_step: expected a multiple of 3, as .*, found 4$"):
        batches_of_worker(0, 3)


# Order


@pytest.mark.parametrize("endless", [True, False])
def test_resumed_stream_goes_on_with_the_same_batches(endless):
    dataset = digits_config(scenes=0 if endless else 5)
    whole, rest = batches_of(dataset, 6), batches_of(dataset, 2, first_step=4)
    for batch, expected in zip(rest, whole[4:], strict=True):
        assert_same(batch, expected)


def test_seed_decides_the_stream():
    dataset = digits_config()
    first, same, other = (batches_of(dataset, 2, seed)[1] for seed in (0, 0, 1))
    assert_same(first, same)
    assert set(first["image_ids"]) != set(other["image_ids"])


def test_large_steps_need_no_search():
    (batch,) = batches_of(digits_config(), 1, first_step=10**9)
    assert batch["images"].shape[0] == 2


def test_one_trace_serves_every_size(photographs):
    source = open_source(photographs, 14)
    batches = training_batches(source, data_config(photographs), images_per_step=1, seed=0)
    traces = []

    @tf.function(input_signature=[batches.element_spec])
    def step(batch):
        traces.append(1)
        return tf.reduce_sum(batch["images"])

    shapes = {tuple(batch["images"].shape) for batch in batches.take(10) if step(batch) is not None}
    assert len(shapes) > 2 and len(traces) == 1
    spec = batches.element_spec
    assert spec["images"].shape.as_list() == [1, None, None, 3]
    assert spec["masks"].shape.as_list() == [1, None, 14, 14]
