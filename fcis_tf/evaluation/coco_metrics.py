"""COCO's metrics of instance segmentation and detection, by pycocotools."""

import contextlib
import io
from typing import NamedTuple

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

_SUMMARY = ("AP", "AP50", "AP75", "APs", "APm", "APl")


class CocoMetrics(NamedTuple):
    """How well results agree with the ground truth.

    Values are in 0..1, or -1 where there is no ground truth to find, as COCO has it.

    Attributes:
        summary: {"segm": {"AP", "AP50", "AP75", "APs", "APm", "APl"}, "bbox": {the same}}.
        class_ap50: for each class by name, {"segm": its AP at IoU 0.5, "bbox": the same}.
        voc: what `voc_metrics` returns, or None where VOC's metric isn't asked for.
    """

    summary: dict
    class_ap50: dict
    voc: dict | None = None

    def as_json(self):
        """Returns what metrics.json holds: the summary, and VOC's metric as "voc"."""
        return self.summary if self.voc is None else {**self.summary, "voc": self.voc}


def coco_metrics(results, ground_truth):
    """Compares the masks of results, and the masks' tight boxes, with the ground truth (FCIS section 4.2).

    Args:
        results: entries of a COCO results file, with `bbox` and `segmentation`; may be empty.
        ground_truth: a pycocotools COCO.

    Returns:
        CocoMetrics.
    """
    summary, by_class = {}, {}
    for kind, geometry in (("segm", "segmentation"), ("bbox", "bbox")):
        evaluation = _run(kind, _detections(results, geometry, ground_truth), ground_truth)
        summary[kind] = dict(zip(_SUMMARY, evaluation.stats.tolist(), strict=False))
        by_class[kind] = _class_ap50(evaluation)
    names = [category["name"] for category in ground_truth.loadCats(sorted(ground_truth.getCatIds()))]
    class_ap50 = {
        name: {"segm": segm, "bbox": bbox}
        for name, segm, bbox in zip(names, by_class["segm"], by_class["bbox"], strict=True)
    }
    return CocoMetrics(summary, class_ap50)


def _detections(results, geometry, ground_truth):
    """Returns a COCO of the results with one kind of geometry only, since pycocotools takes areas from the first."""
    if not results:
        detections = COCO()
        detections.dataset = {**ground_truth.dataset, "annotations": []}
        with contextlib.redirect_stdout(io.StringIO()):
            detections.createIndex()
        return detections
    keys = ("image_id", "category_id", "score", geometry)
    with contextlib.redirect_stdout(io.StringIO()):
        return ground_truth.loadRes([{key: result[key] for key in keys} for result in results])


def _run(kind, detections, ground_truth):
    evaluation = COCOeval(ground_truth, detections, kind)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def _class_ap50(evaluation):
    """Returns AP at IoU 0.5 of each class, by category id; -1 for classes without ground truth."""
    # Indices of precision: IoU, recall, class, range of areas, limit of detections. IoU 0.5 and all areas come first.
    precision = evaluation.eval["precision"][0, :, :, 0, -1]
    return np.mean(precision, axis=0).tolist()
