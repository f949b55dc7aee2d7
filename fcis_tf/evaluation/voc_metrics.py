"""PASCAL VOC's average precision of masks: mAP^r of simultaneous detection and segmentation (FCIS section 4.1)."""

from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

_THRESHOLDS = (50, 70)


class _Image(NamedTuple):
    """What has to be known of an image.

    Attributes:
        labels: [D] int, classes of the predictions, counted from 0.
        scores: [D] float.
        true_labels: [G] int, classes of the ground truth.
        iou: [D, G] float, intersection over union of the predicted and the true masks.
    """

    labels: Any
    scores: Any
    true_labels: Any
    iou: Any


def instance_map(
    pred_masks, pred_labels, pred_scores, gt_masks, gt_labels, iou_threshold=0.5, use_07_metric=True
):
    """Average precision of instance masks, by class.

    A prediction counts as found if its mask overlaps a ground-truth mask of its class and image enough, and more than
    any other, and no prediction of higher score has found that one before. All arguments are lists over images.

    Args:
        pred_masks: [D, H, W] bool each.
        pred_labels: [D] int each, classes counted from 0.
        pred_scores: [D] float each.
        gt_masks: [G, H, W] bool each.
        gt_labels: [G] int each.
        iou_threshold: a mask is found at this intersection over union or more.
        use_07_metric: whether precision is averaged over eleven recalls, as in VOC 2007, or over all of them.

    Returns:
        {"ap": [C] float64, NaN for classes without ground truth, "map": their mean}. C is one more than the largest
        label.

    Raises:
        ValueError: lists of different lengths, or masks, labels and scores of an image that do not go together.
    """
    images = list(_compare(pred_masks, pred_labels, pred_scores, gt_masks, gt_labels))
    labels = np.concatenate([np.zeros(0, int), *(np.append(image.labels, image.true_labels) for image in images)])
    classes = int(labels.max(initial=-1)) + 1
    ap = np.array([_class_ap(images, label, iou_threshold, use_07_metric) for label in range(classes)])
    known = ap[~np.isnan(ap)]
    return {"ap": ap, "map": float(known.mean()) if len(known) else float("nan")}


def voc_metrics(results, ground_truth):
    """VOC's metric of results in COCO's format, at the thresholds of simultaneous detection and segmentation.

    Precision is averaged over eleven recalls, as in VOC 2007: that is how the evaluation of MNC and FCIS, which the
    published figures come from, does it on SBD's masks of VOC 2012. Those masks have no void border; around VOC's own,
    it counts as background.

    Args:
        results: entries of a COCO results file, with `segmentation` a run-length encoding; may be empty.
        ground_truth: a pycocotools COCO.

    Returns:
        {"mAP50": mean over the classes with ground truth, "mAP70", "class_ap50": {class name: AP}, "class_ap70"}.
        Values are in 0..1, or -1 where there is no ground truth to find, as in CocoMetrics.
    """
    categories = ground_truth.loadCats(sorted(ground_truth.getCatIds()))
    images = _compare_results(results, ground_truth, [category["id"] for category in categories])
    means, by_class = {}, {}
    for threshold in _THRESHOLDS:
        aps = [_class_ap(images, label, threshold / 100, use_07_metric=True) for label in range(len(categories))]
        known = [ap for ap in aps if not np.isnan(ap)]
        means[f"mAP{threshold}"] = float(np.mean(known)) if known else -1.0
        by_class[f"class_ap{threshold}"] = {
            category["name"]: -1.0 if np.isnan(ap) else float(ap) for category, ap in zip(categories, aps, strict=True)
        }
    return means | by_class


def _compare_results(results, ground_truth, category_ids):
    """Returns an _Image for each image of the ground truth; masks stay encoded, whole ones fill gigabytes."""
    labels = {category_id: label for label, category_id in enumerate(category_ids)}
    found = defaultdict(list)
    for result in results:
        found[result["image_id"]].append(result)
    return [
        _compare_encoded(found[image_id], ground_truth.loadAnns(ground_truth.getAnnIds(image_id)), ground_truth, labels)
        for image_id in ground_truth.getImgIds()
    ]


def _compare_encoded(results, annotations, ground_truth, labels):
    masks = [result["segmentation"] for result in results]
    true_masks = [ground_truth.annToRLE(annotation) for annotation in annotations]
    # For no masks pycocotools returns an empty list.
    iou = coco_mask.iou(masks, true_masks, [0] * len(true_masks))
    return _Image(
        labels=np.array([labels[result["category_id"]] for result in results], int),
        scores=np.array([result["score"] for result in results], float),
        true_labels=np.array([labels[annotation["category_id"]] for annotation in annotations], int),
        iou=np.reshape(iou, (len(masks), len(true_masks))),
    )


def _compare(*lists):
    """Yields an _Image of each image."""
    names = ("pred_masks", "pred_labels", "pred_scores", "gt_masks", "gt_labels")
    if len(set(map(len, lists))) > 1:
        raise ValueError("images: " + ", ".join(f"{n} has {len(x)}" for n, x in zip(names, lists, strict=True)))
    for i, image in enumerate(zip(*lists, strict=True)):
        masks, labels, scores, true_masks, true_labels = map(np.asarray, image)
        if not len(masks) == len(labels) == len(scores) or len(true_masks) != len(true_labels):
            counts = ", ".join(f"{len(x)} {n}" for n, x in zip(names, image, strict=True))
            raise ValueError(f"image {i} has {counts}")
        if len(masks) and len(true_masks) and masks.shape[1:] != true_masks.shape[1:]:
            raise ValueError(f"image {i}: pred_masks are {masks.shape[1:]}, gt_masks {true_masks.shape[1:]}")
        yield _Image(labels.astype(int), scores, true_labels.astype(int), _iou(masks, true_masks))


def _iou(masks, true_masks):
    if not len(masks) or not len(true_masks):
        return np.zeros((len(masks), len(true_masks)), np.float32)
    masks, true_masks = (x.reshape(len(x), -1).astype(bool).astype(np.float32) for x in (masks, true_masks))
    shared = masks @ true_masks.T
    either = masks.sum(axis=1)[:, None] + true_masks.sum(axis=1) - shared
    return shared / np.maximum(either, 1)


def _class_ap(images, label, iou_threshold, use_07_metric):
    scores, found, count = [np.zeros(0)], [np.zeros(0, bool)], 0
    for image in images:
        of_class, true_of_class = image.labels == label, image.true_labels == label
        order = np.argsort(-image.scores[of_class], kind="stable")
        count += true_of_class.sum()
        scores.append(image.scores[of_class][order])
        found.append(_match(image.iou[of_class][:, true_of_class][order], iou_threshold))
    if not count:
        return np.nan
    found = np.concatenate(found)[np.argsort(-np.concatenate(scores), kind="stable")]
    hits = np.cumsum(found)
    precision, recall = hits / np.arange(1, len(found) + 1), hits / count
    return _mean_of_eleven(precision, recall) if use_07_metric else _area(precision, recall)


def _match(iou, iou_threshold):
    """Returns for predictions in order of falling score, [D, G], whether each finds a true mask that is still free."""
    if not iou.size:
        return np.zeros(len(iou), bool)
    best = iou.argmax(axis=1)
    best[iou.max(axis=1) < iou_threshold] = -1
    # The first of those with the same true mask finds it.
    _, first = np.unique(best, return_index=True)
    return np.isin(np.arange(len(best)), first) & (best >= 0)


def _mean_of_eleven(precision, recall):
    return np.mean([precision[recall >= i / 10].max(initial=0.0) for i in range(11)])


def _area(precision, recall):
    """Area under the precision that is reached at a recall or a larger one."""
    at_least = np.maximum.accumulate(precision[::-1])[::-1]
    return np.sum(np.diff(recall, prepend=0.0) * at_least)
