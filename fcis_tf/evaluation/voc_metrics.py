"""PASCAL VOC's average precision of masks: mAP^r of simultaneous detection and segmentation (FCIS section 4.1)."""

import numpy as np


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
    images = list(_checked_images(pred_masks, pred_labels, pred_scores, gt_masks, gt_labels))
    labels = np.concatenate([np.zeros(0, int), *(np.concatenate([image[1], image[4]]) for image in images)])
    classes = int(labels.max(initial=-1)) + 1
    ap = np.array([_class_ap(images, label, iou_threshold, use_07_metric) for label in range(classes)])
    known = ap[~np.isnan(ap)]
    return {"ap": ap, "map": float(known.mean()) if len(known) else float("nan")}


def _checked_images(*lists):
    """Yields (pred_masks, pred_labels, pred_scores, gt_masks, gt_labels) of each image, as arrays."""
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
        yield masks.astype(bool), labels.astype(int), scores, true_masks.astype(bool), true_labels.astype(int)


def _class_ap(images, label, iou_threshold, use_07_metric):
    scores, found, count = [np.zeros(0)], [np.zeros(0, bool)], 0
    for masks, labels, all_scores, true_masks, true_labels in images:
        of_class, true_of_class = labels == label, true_labels == label
        order = np.argsort(-all_scores[of_class], kind="stable")
        count += true_of_class.sum()
        scores.append(all_scores[of_class][order])
        found.append(_match(masks[of_class][order], true_masks[true_of_class], iou_threshold))
    if not count:
        return np.nan
    found = np.concatenate(found)[np.argsort(-np.concatenate(scores), kind="stable")]
    hits = np.cumsum(found)
    precision, recall = hits / np.arange(1, len(found) + 1), hits / count
    return _mean_of_eleven(precision, recall) if use_07_metric else _area(precision, recall)


def _match(masks, true_masks, iou_threshold):
    """Returns for masks [D, H, W], in order of falling score, whether each finds a true mask that is still free."""
    if not len(masks) or not len(true_masks):
        return np.zeros(len(masks), bool)
    masks, true_masks = (x.reshape(len(x), -1).astype(np.float32) for x in (masks, true_masks))
    shared = masks @ true_masks.T
    either = masks.sum(axis=1)[:, None] + true_masks.sum(axis=1) - shared
    iou = shared / np.maximum(either, 1)
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
