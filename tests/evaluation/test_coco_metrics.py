"""COCO's metrics on hand-made results."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from fcis_tf.data.ground_truth import make_coco
from fcis_tf.evaluation import coco_metrics
from fcis_tf.inference import Instances, coco_results


def square(ymin, xmin, side):
    mask = np.zeros((200, 200), bool)
    mask[ymin : ymin + side, xmin : xmin + side] = True
    return mask


def annotation(mask, category_id, crowd=0):
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {
        "image_id": 1,
        "category_id": category_id,
        "segmentation": rle,
        "area": float(mask.sum()),
        "bbox": coco_mask.toBbox(rle).tolist(),
        "iscrowd": crowd,
    }


def ground_truth(annotations):
    categories = [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}]
    return make_coco([{"id": 1, "height": 200, "width": 200}], annotations, categories)


def results(masks, labels):
    boxes = [
        [m.any(1).argmax(), m.any(0).argmax(), 200 - m.any(1)[::-1].argmax(), 200 - m.any(0)[::-1].argmax()]
        for m in masks
    ]
    scores = np.linspace(0.9, 0.5, len(masks), dtype=np.float32)
    return coco_results(Instances(np.float32(boxes), np.int32(labels), scores, np.stack(masks)), 1, [3, 7])


def test_one_of_two_found():
    truth = ground_truth([annotation(square(10, 10, 50), 3), annotation(square(100, 100, 50), 3)])
    metrics = coco_metrics(results([square(10, 10, 50)], [1]), truth)
    for values in metrics.summary.values():
        # Precision is 1 at the 51 of 101 recalls up to one half.
        assert values["AP"] == values["APm"] == pytest.approx(51 / 101)
        assert values["APs"] == values["APl"] == -1
    assert metrics.class_ap50["cat"] == {"segm": pytest.approx(51 / 101), "bbox": pytest.approx(51 / 101)}
    assert metrics.class_ap50["dog"] == {"segm": -1, "bbox": -1}


def test_boxes_and_masks_are_scored_apart():
    hollow = square(10, 10, 60) & ~square(15, 15, 50)
    metrics = coco_metrics(results([hollow], [2]), ground_truth([annotation(square(10, 10, 60), 7)]))
    assert metrics.summary["segm"]["AP50"] == 0
    assert metrics.summary["bbox"]["AP"] == pytest.approx(1)


def test_sizes_go_by_the_area_of_the_mask():
    # A thin frame: its mask is small, its box is not. A false one counts against the APs of masks only.
    frame = square(100, 100, 60) & ~square(101, 101, 58)
    small, large = square(10, 10, 20), square(40, 10, 50)
    truth = ground_truth([annotation(small, 3), annotation(large, 3)])
    found = results([frame, small, large], [1, 1, 1])
    metrics = coco_metrics(found, truth)
    assert metrics.summary["segm"]["APs"] == pytest.approx(0.5, abs=0.01)
    assert metrics.summary["bbox"]["APs"] == pytest.approx(1)


def test_detections_in_a_crowd_are_ignored():
    truth = ground_truth([annotation(square(10, 10, 50), 3), annotation(square(100, 0, 90), 3, crowd=1)])
    found = results([square(110, 10, 30), square(10, 10, 50)], [1, 1])
    assert coco_metrics(found, truth).summary["segm"]["AP"] == pytest.approx(1)


def test_no_results_and_no_ground_truth():
    nothing = coco_metrics([], ground_truth([]))
    assert set(nothing.summary["segm"].values()) == {-1}
    missed = coco_metrics([], ground_truth([annotation(square(10, 10, 50), 3)]))
    assert missed.summary["bbox"]["AP"] == 0 and missed.class_ap50["cat"]["segm"] == 0


def test_leaves_the_results_as_they_are():
    found = results([square(10, 10, 50)], [1])
    keys = [set(result) for result in found]
    coco_metrics(found, ground_truth([annotation(square(10, 10, 50), 3)]))
    assert [set(result) for result in found] == keys
