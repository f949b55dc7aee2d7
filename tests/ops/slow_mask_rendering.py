"""Rendering of masks as loops over its definition, pixel by pixel, in float64."""

import numpy as np


def probabilities_of_region(mask, box, image_size):
    """Returns the probability of every pixel of an image, which is 0 outside the box."""
    ymin, xmin, ymax, xmax = box.astype(float)
    cells = len(mask)
    mask = np.where(np.isfinite(mask), mask, 0.0)
    rendered = np.zeros(image_size)
    # What float32 cannot hold counts as infinite.
    if not (np.isfinite(box).all() and max(ymax - ymin, xmax - xmin) <= np.finfo(np.float32).max):
        return rendered
    for y, x in np.ndindex(*image_size):
        if ymin <= y + 0.5 < ymax and xmin <= x + 0.5 < xmax:
            v = np.clip((y + 0.5 - ymin) / (ymax - ymin) * cells - 0.5, 0, cells - 1)
            u = np.clip((x + 0.5 - xmin) / (xmax - xmin) * cells - 0.5, 0, cells - 1)
            top, left = int(v), int(u)
            bottom, right = min(top + 1, cells - 1), min(left + 1, cells - 1)
            upper = (1 - (u - left)) * mask[top, left] + (u - left) * mask[top, right]
            lower = (1 - (u - left)) * mask[bottom, left] + (u - left) * mask[bottom, right]
            rendered[y, x] = (1 - (v - top)) * upper + (v - top) * lower
    return rendered


def render_masks(roi_masks, rois, votes, image_size, threshold, threshold_first=False):
    """Returns the masks [D, H, W], and where [D, H, W] rounding of float32 cannot decide otherwise."""
    rois = np.round(rois) if threshold_first else rois
    each = np.zeros((len(rois), *image_size))
    for r, (mask, box) in enumerate(zip(roi_masks, rois, strict=True)):
        each[r] = probabilities_of_region(mask, box, image_size)
    votes = np.where(np.isfinite(votes) & (votes > 0), votes, 0.0)
    mean = np.tensordot(votes, each > threshold if threshold_first else each, 1)
    clear = np.abs(mean - threshold) > 1e-4
    if threshold_first:
        unsure = np.abs(each - threshold) <= 1e-4
        clear &= np.tensordot((votes > 0).astype(float), unsure.astype(float), 1) == 0
    return mean > threshold, clear


def tight_box(mask):
    """Returns the box [4] around a mask's pixels, zeros if it has none."""
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return [0, 0, 0, 0]
    return [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]


def coverage(mask, size):
    """Returns which fraction of every cell of a grid [size, size] over a mask is covered."""
    height, width = mask.shape
    covered = np.zeros((size, size))
    for i, j in np.ndindex(size, size):
        top, bottom, left, right = i * height / size, (i + 1) * height / size, j * width / size, (j + 1) * width / size
        for y, x in zip(*np.nonzero(mask), strict=True):
            overlap = max(min(y + 1, bottom) - max(y, top), 0) * max(min(x + 1, right) - max(x, left), 0)
            covered[i, j] += overlap / ((bottom - top) * (right - left))
    return covered
