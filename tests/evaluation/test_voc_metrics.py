"""PASCAL VOC's average precision of masks, against ChainerCV's and by hand."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from fcis_tf.data.ground_truth import make_coco
from fcis_tf.evaluation import instance_map, voc_metrics

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "voc_map_a.npz"
NAMES = ("pred_masks", "pred_labels", "pred_scores", "gt_masks", "gt_labels")


def pixels(*runs, width=10):
    """[n, 1, width] masks, each a run of pixels (begin, end)."""
    return np.array([[[begin <= x < end for x in range(width)]] for begin, end in runs]).reshape(len(runs), 1, width)


@pytest.mark.parametrize("threshold", [50, 70])
def test_equals_chainercv(threshold):
    if not REFERENCE.exists():
        pytest.skip(f"{REFERENCE} is not there")
    case = np.load(REFERENCE)
    lists = [[case[f"{name}_{i}"] for i in range(case["images"])] for name in NAMES]
    result = instance_map(*lists, iou_threshold=threshold / 100)
    np.testing.assert_allclose(result["ap"], case[f"ap_{threshold}"], atol=1e-6)
    assert result["map"] == pytest.approx(case[f"map_{threshold}"], abs=1e-6)


def test_by_hand():
    # In order of score: found, found again, nothing there, found. Precision 1, 1/2, 1/3, 2/4; recall 1/2 ... 2/2.
    masks = pixels((0, 4), (0, 3), (8, 10), (5, 7))
    arguments = [masks], [[0] * 4], [[0.9, 0.8, 0.7, 0.6]], [pixels((0, 4), (5, 7))], [[0, 0]]
    eleven = instance_map(*arguments)
    assert eleven["ap"] == pytest.approx([(6 * 1 + 5 * 0.5) / 11]) and eleven["map"] == eleven["ap"][0]
    assert instance_map(*arguments, use_07_metric=False)["map"] == pytest.approx(0.5 * 1 + 0.5 * 0.5)


def test_an_overlap_of_exactly_the_threshold_is_enough():
    arguments = [pixels((0, 4))], [[0]], [[0.5]], [pixels((0, 8))], [[0]]
    assert instance_map(*arguments, iou_threshold=0.5)["map"] == 1
    assert instance_map(*arguments, iou_threshold=0.51)["map"] == 0


def test_classes_and_images_are_kept_apart():
    masks = [pixels((0, 4)), pixels((0, 4))]
    result = instance_map(masks, [[0], [2]], [[0.5], [0.5]], masks[::-1], [[2], [2]])
    # Class 0 is predicted, but nowhere there; class 1 is unknown; class 2 is missed in the first image.
    np.testing.assert_equal(result["ap"][:2], [np.nan, np.nan])
    assert result["ap"][2] == pytest.approx(6 / 11) and result["map"] == result["ap"][2]


def test_a_mask_whose_best_match_is_taken_does_not_get_the_next_best():
    masks, truth = pixels((0, 6), (0, 5)), pixels((0, 5), (0, 6))
    result = instance_map([masks], [[0, 0]], [[0.9, 0.8]], [truth], [[0, 0]], iou_threshold=0.5)
    assert result["map"] == pytest.approx(1.0)
    twice = instance_map([masks[[0, 0]]], [[0, 0]], [[0.9, 0.8]], [truth], [[0, 0]], iou_threshold=0.5)
    assert twice["map"] == pytest.approx(6 / 11)


@pytest.mark.parametrize("use_07_metric", [True, False])
def test_nothing_predicted_and_nothing_there(use_07_metric):
    nothing = np.zeros([0, 1, 10], bool)
    missed = instance_map([nothing], [[]], [[]], [pixels((0, 4))], [[0]], use_07_metric=use_07_metric)
    assert missed["map"] == 0
    empty = instance_map([nothing], [[]], [[]], [nothing], [[]], use_07_metric=use_07_metric)
    assert len(empty["ap"]) == 0 and np.isnan(empty["map"])
    assert np.isnan(instance_map([], [], [], [], [])["map"])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_predicting_the_truth_is_perfect_in_any_order(seed):
    rng = np.random.default_rng(seed)
    labels = [rng.integers(0, 3, rng.integers(0, 5)) for _ in range(3)]
    masks = [pixels(*((2 * i, 2 * i + 2) for i in range(len(x)))) for x in labels]
    orders = [rng.permutation(len(x)) for x in labels]
    shuffled = [[x[o] for x, o in zip(values, orders, strict=True)] for values in (masks, labels)]
    result = instance_map(*shuffled, [rng.random(len(x)) for x in labels], masks, labels, use_07_metric=False)
    assert set(result["ap"][~np.isnan(result["ap"])]) <= {1.0}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"gt_labels": []}, "images: pred_masks has 1, .* gt_labels has 0"),
        ({"pred_scores": [[]]}, "image 0 has 1 pred_masks, 1 pred_labels, 0 pred_scores"),
        ({"gt_masks": [pixels((0, 4), width=9)]}, "image 0: pred_masks are"),
    ],
)
def test_arguments_that_do_not_go_together(changes, message):
    arguments = dict(zip(NAMES, ([pixels((0, 4))], [[0]], [[0.5]], [pixels((0, 4))], [[0]]), strict=True)) | changes
    with pytest.raises(ValueError, match=message):
        instance_map(**arguments)


# Results in COCO's format

CATEGORIES = [{"id": 3, "name": "apple"}, {"id": 7, "name": "kite"}, {"id": 9, "name": "zebra"}]


def encoded(masks, **fields):
    """Entries of COCO's formats for masks [n, H, W], each with its element of the fields."""
    fields = [dict(zip(fields, values, strict=True)) for values in zip(*fields.values(), strict=True)]
    rles = coco_mask.encode(np.asfortranarray(masks.transpose(1, 2, 0).astype(np.uint8)))
    return [{**entry, "segmentation": rle} for entry, rle in zip(fields, rles, strict=True)]


def annotations(image_id, masks, category_ids):
    entries = encoded(masks, category_id=category_ids)
    return [entry | {"image_id": image_id, "iscrowd": 0, "area": 1.0, "bbox": [0, 0, 1, 1]} for entry in entries]


def random_masks(rng, count):
    """Rectangles in a small image, so that many of them overlap."""
    low = rng.integers(0, 4, (count, 2, 1, 1))
    high = low + rng.integers(6, 11, low.shape)
    positions = np.mgrid[:16, :16]
    return ((low <= positions) & (positions < high)).all(axis=1)


def test_results_in_cocos_format_give_the_same_as_masks():
    rng = np.random.default_rng(3)
    images, truth, results, lists = [], [], [], {name: [] for name in NAMES}
    for image_id in range(1, 13):
        counts = rng.integers(0, 7), rng.integers(0, 4)
        masks, true_masks = (random_masks(rng, count) for count in counts)
        labels, true_labels = (rng.integers(0, 2, count) for count in counts)
        # With equal scores.
        scores = rng.integers(1, 9, len(masks)) / 10
        for name, value in zip(NAMES, (masks, labels, scores, true_masks, true_labels), strict=True):
            lists[name].append(value)
        ids = [CATEGORIES[label]["id"] for label in labels]
        results += encoded(masks, image_id=[image_id] * len(masks), category_id=ids, score=scores.tolist())
        truth += annotations(image_id, true_masks, [CATEGORIES[label]["id"] for label in true_labels])
        images.append({"id": image_id, "height": 16, "width": 16})
    metrics = voc_metrics(results, make_coco(images, truth, CATEGORIES))
    for threshold in (50, 70):
        expected = instance_map(**lists, iou_threshold=threshold / 100)
        assert 0 < expected["map"] < 1
        assert list(metrics[f"class_ap{threshold}"].values()) == pytest.approx([*expected["ap"], -1])
        assert metrics[f"mAP{threshold}"] == pytest.approx(expected["map"])


def test_only_the_lower_threshold_is_reached():
    truth = annotations(1, pixels((0, 8), (0, 2)), [3, 7])
    ground_truth = make_coco([{"id": 1, "height": 1, "width": 10}], truth, CATEGORIES)
    results = encoded(pixels((0, 5)), image_id=[1], category_id=[3], score=[0.5])
    assert voc_metrics(results, ground_truth) == {
        "mAP50": 0.5,
        "class_ap50": {"apple": 1, "kite": 0, "zebra": -1},
        "mAP70": 0,
        "class_ap70": {"apple": 0, "kite": 0, "zebra": -1},
    }


def test_no_results_and_no_ground_truth():
    images = [{"id": 1, "height": 1, "width": 10}]
    missed = voc_metrics([], make_coco(images, annotations(1, pixels((0, 8)), [3]), CATEGORIES))
    assert missed["mAP50"] == missed["mAP70"] == 0
    empty = voc_metrics([], make_coco(images, [], CATEGORIES))
    assert empty["mAP50"] == -1 and set(empty["class_ap70"].values()) == {-1}
