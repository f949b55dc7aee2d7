"""The inside/outside head."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fcis_tf.models import InsideOutsideHead

K, P, CLASSES = 3, 9, 2


@pytest.fixture(scope="module")
def head():
    keras.utils.set_random_seed(0)
    head = InsideOutsideHead(CLASSES, channels=8, group_size=K, pooled_size=P)
    head.build((None, None, None, 6))
    return head


def channel(gy, gx, label, inside):
    return ((gy * K + gx) * (CLASSES + 1) + label) * 2 + inside


def test_maps_have_the_channels_of_grid_classes_and_sides(head):
    shapes = {name: tuple(value.shape) for name, value in head(tf.zeros([2, 4, 5, 6])).items()}
    assert shapes == {"score_maps": (2, 4, 5, K * K * (CLASSES + 1) * 2), "box_maps": (2, 4, 5, K * K * 4)}


@pytest.mark.parametrize("gy, gx, label", [(0, 0, 1), (0, 2, 1), (1, 0, 2), (2, 1, 2)])
@pytest.mark.parametrize("inside", [0, 1])
def test_a_hot_score_map_lights_the_bins_of_its_grid_cell(head, gy, gx, label, inside):
    score_maps = np.zeros([1, 9, 9, K * K * (CLASSES + 1) * 2], np.float32)
    score_maps[..., channel(gy, gx, label, inside)] = 1
    maps = {"score_maps": score_maps, "box_maps": np.zeros([1, 9, 9, K * K * 4], np.float32)}
    roi = [[[0.0, 0.0, 144.0, 144.0]]]
    class_logits, mask_logits, _ = head.assemble(maps, roi, [[label]])

    expected = np.zeros([P, P, 2])
    expected[gy * 3 : gy * 3 + 3, gx * 3 : gx * 3 + 3, inside] = 1
    np.testing.assert_array_equal(mask_logits[0, 0], expected)
    np.testing.assert_allclose(class_logits[0, 0], np.eye(CLASSES + 1)[label] / K**2, rtol=1e-6)
    _, mask_logits, _ = head.assemble(maps, roi, [[3 - label]])
    assert not mask_logits.numpy().any()
    # Without labels the mask is that of the best foreground class, here this one.
    _, mask_logits, _ = head.assemble(maps, roi)
    np.testing.assert_array_equal(mask_logits[0, 0], expected)


def test_box_offsets_are_the_mean_over_the_grid(head):
    box_maps = np.random.default_rng(0).normal(size=(K * K, 4)).astype(np.float32)
    score_maps = np.zeros([1, 9, 9, K * K * (CLASSES + 1) * 2], np.float32)
    maps = {"score_maps": score_maps, "box_maps": np.tile(box_maps.reshape(-1), [1, 9, 9, 1])}
    _, _, offsets = head.assemble(maps, [[[0.0, 0.0, 144.0, 144.0]]])
    np.testing.assert_allclose(offsets[0, 0], box_maps.mean(axis=0), rtol=1e-5)


def test_an_image_of_a_batch_gives_what_it_gives_alone(head):
    rng = np.random.default_rng(1)
    maps = head(rng.normal(size=(3, 6, 7, 6)).astype(np.float32))
    corners = rng.uniform(0, 60, (3, 5, 2))
    rois = np.concatenate([corners, corners + rng.uniform(5, 60, (3, 5, 2))], axis=2).astype(np.float32)
    labels = rng.integers(CLASSES + 1, size=(3, 5)).astype(np.int32)
    together = head.assemble(maps, rois, labels)
    assert [x.shape for x in together] == [(3, 5, CLASSES + 1), (3, 5, P, P, 2), (3, 5, 4)]
    for i in range(3):
        alone = head.assemble({name: x[i : i + 1] for name, x in maps.items()}, rois[i : i + 1], labels[i : i + 1])
        for one, all_ in zip(alone, together, strict=True):
            np.testing.assert_allclose(one[0], all_[i], atol=1e-6)


def test_every_roi_may_name_its_image(head):
    rng = np.random.default_rng(3)
    maps = head(rng.normal(size=(2, 6, 7, 6)).astype(np.float32))
    rois = np.float32([[0, 0, 60, 50], [10, 20, 90, 100], [5, 6, 70, 80]])
    images, labels = np.int32([1, 0, 1]), np.int32([1, 0, 2])
    together = head.assemble_indexed(maps, rois, images, labels)
    for i, image in enumerate(images):
        of_image = {name: x[image : image + 1] for name, x in maps.items()}
        alone = head.assemble(of_image, rois[None, i : i + 1], labels[None, i : i + 1])
        for one, all_ in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one[0, 0], all_[i])


def test_padding_of_the_maps_does_not_reach_rois_within_the_image(head):
    rng = np.random.default_rng(2)
    maps = {name: x.numpy() for name, x in head(rng.normal(size=(1, 5, 4, 6)).astype(np.float32)).items()}
    widths = (0, 0), (0, 3), (0, 2), (0, 0)
    padded = {name: np.pad(x, widths, constant_values=99) for name, x in maps.items()}
    rois = [[[0.0, 0.0, 80.0, 64.0], [10.0, 20.0, 47.0, 64.0]]]
    for one, other in zip(head.assemble(maps, rois), head.assemble(padded, rois), strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_rois(head):
    maps = head(tf.zeros([2, 4, 5, 6]))
    shapes = [x.shape for x in head.assemble(maps, tf.zeros([2, 0, 4]))]
    assert shapes == [(2, 0, CLASSES + 1), (2, 0, P, P, 2), (2, 0, 4)]


def test_round_trips_through_its_configuration(head):
    assert InsideOutsideHead.from_config(head.get_config()).get_config() == head.get_config()
