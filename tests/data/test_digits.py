"""Scenes of handwritten digits: what is seen is what is annotated, and every scene is reproducible."""

import numpy as np
import pytest
import tensorflow as tf
from pycocotools import mask as coco_mask

from fcis_tf.config import DigitsDataset
from fcis_tf.data import digit_scene
from fcis_tf.data.digit_glyphs import load_glyphs
from fcis_tf.data.digit_layout import Layout
from fcis_tf.data.digit_scene import render_scene
from fcis_tf.data.layers import visible_parts
from tests.data.sources import open_source, read_examples

SCENES = 6


def digits(**changes):
    values = {"format": "digits", "split": "eval", "scenes": SCENES} | changes
    return open_source(DigitsDataset(**values), split="eval")


@pytest.fixture(scope="module")
def source():
    return digits()


@pytest.fixture(scope="module")
def scenes(source):
    return read_examples(source)


@pytest.fixture(scope="module")
def annotations(source):
    ground_truth = source.ground_truth()
    return [ground_truth.imgToAnns[i] for i in range(SCENES)]


def test_examples_have_the_promised_shapes_and_types(source, scenes):
    assert source.size == SCENES
    assert source.class_names == [str(digit) for digit in range(10)]
    assert source.category_ids == list(range(1, 11))
    for i, scene in enumerate(scenes):
        count = len(scene["classes"])
        assert scene["image"].shape == (256, 320, 3) and scene["image"].dtype == np.uint8
        assert scene["image_id"] == i
        assert scene["boxes"].shape == (count, 4) and scene["boxes"].dtype == np.float32
        assert scene["classes"].dtype == np.int32 and set(scene["classes"]) <= set(range(1, 11))
        assert scene["is_crowd"].shape == (count,) and scene["is_crowd"].dtype == bool
        assert scene["masks"].shape == (count, 28, 28) and set(np.unique(scene["masks"])) <= {0, 1}


def test_scene_depends_on_seed_and_index_only(scenes):
    again = read_examples(digits(), [3, 1])
    for scene, index in zip(again, [3, 1], strict=True):
        for name, value in scene.items():
            np.testing.assert_array_equal(value, scenes[index][name])
    other_seed, other_split = read_examples(digits(seed=1), [3])[0], read_examples(digits(split="train"), [3])[0]
    assert (other_seed["image"] != scenes[3]["image"]).mean() > 0.5
    assert (other_split["image"] != scenes[3]["image"]).mean() > 0.5


def test_training_and_evaluation_share_no_sample():
    train, evaluation = load_glyphs("train"), load_glyphs("eval")
    assert not set(train.sample_ids) & set(evaluation.sample_ids)
    assert len(train.sample_ids) + len(evaluation.sample_ids) == 1797
    share = evaluation.counts / (train.counts + evaluation.counts)
    np.testing.assert_allclose(share, 0.2, atol=0.01)


def test_later_shapes_hide_earlier_ones():
    covers = np.zeros((2, 4, 6), bool)
    covers[0, :, :4] = True
    covers[1, 1:3, 2:] = True
    visible = visible_parts(tf.constant(covers)).numpy()
    np.testing.assert_array_equal(visible[1], covers[1])
    np.testing.assert_array_equal(visible[0], covers[0] & ~covers[1])


def test_masks_are_disjoint_and_boxes_tight(scenes, annotations):
    for scene, instances in zip(scenes, annotations, strict=True):
        masks = coco_mask.decode([instance["segmentation"] for instance in instances])
        assert masks.sum(axis=2).max() == 1
        x, y, width, height = coco_mask.toBbox([instance["segmentation"] for instance in instances]).T
        np.testing.assert_array_equal(scene["boxes"], np.stack([y, x, y + height, x + width], axis=1))


def test_digits_overlap_often(monkeypatch):
    """Half of the scenes at least hold a digit that another one hides in part."""
    hidden = []

    def record(covers):
        visible = visible_parts(covers)
        hidden.append(bool(tf.reduce_any(covers != visible)))
        return visible

    monkeypatch.setattr(digit_scene, "visible_parts", record)
    glyphs = load_glyphs("train")
    for i in range(20):
        render_scene(glyphs, tf.constant([i, 0], tf.int64), (256, 320), 8)
    assert np.mean(hidden) >= 0.5


def test_ground_truth_agrees_with_examples(source, scenes, annotations):
    for i, (scene, instances) in enumerate(zip(scenes, annotations, strict=True)):
        assert {instance["image_id"] for instance in instances} == {i}
        assert [instance["category_id"] for instance in instances] == scene["classes"].tolist()
        assert [instance["iscrowd"] for instance in instances] == scene["is_crowd"].tolist()
        for instance, box, mask in zip(instances, scene["boxes"], scene["masks"], strict=True):
            ymin, xmin, ymax, xmax = box.astype(int)
            cropped = coco_mask.decode(instance["segmentation"])[ymin:ymax, xmin:xmax]
            assert abs(mask.mean() - cropped.mean()) < 0.05
    assert source.ground_truth().cats[1]["name"] == "0"


def test_ground_truth_prints_nothing(source, capsys):
    source.ground_truth()
    assert capsys.readouterr().out == ""


def test_sizes_stay_within_bounds(scenes):
    boxes = np.concatenate([scene["boxes"] for scene in scenes])
    longer = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    assert longer.max() <= 120 * 1.3 and np.median(longer) > 24
    assert all(2 <= len(scene["classes"]) <= 8 for scene in scenes)


@pytest.mark.parametrize("upper_size, expected", [(40.0, "one"), (39.0, "crowd"), (16.0, "two")])
def test_hidden_digits_are_crowds_or_left_out(monkeypatch, upper_size, expected):
    """A digit under its own copy of equal size is left out; a thin rest of it is a crowd; most of it is an instance."""
    layout = Layout(
        samples=tf.constant([0, 0]),
        classes=tf.constant([1, 1]),
        sizes=tf.constant([40.0, upper_size]),
        angles=tf.zeros([2]),
        centers=tf.fill([2, 2], 32.0),
    )
    monkeypatch.setattr(digit_scene, "draw_layout", lambda *arguments: layout)
    _, masks, _, is_crowd = render_scene(load_glyphs("train"), tf.constant([0, 0], tf.int64), (64, 64), 2)
    assert masks.shape[0] == {"one": 1, "crowd": 2, "two": 2}[expected]
    assert is_crowd.numpy().tolist() == {"one": [False], "crowd": [True, False], "two": [False, False]}[expected]


def test_small_canvas_with_one_digit():
    (scene,) = read_examples(digits(height=48, width=33, max_digits=1), [0])
    assert scene["image"].shape == (48, 33, 3)
    assert len(scene["classes"]) == 1
    assert (scene["boxes"] >= 0).all() and (scene["boxes"] <= [48, 33, 48, 33]).all()
