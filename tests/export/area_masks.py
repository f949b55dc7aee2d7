"""Masks within their boxes, computed slowly."""

import numpy as np


def area_masks(masks, boxes, mask_size):
    """Returns the fractions of the cells of a grid over each box [D, 4] that masks [D, H, W] cover: [D, M, M]."""
    result = np.zeros((len(masks), mask_size, mask_size), np.float32)
    for area, mask, (ymin, xmin, ymax, xmax) in zip(result, masks, np.asarray(boxes, float), strict=True):
        rows = _weights(ymin, ymax, mask.shape[0], mask_size)
        columns = _weights(xmin, xmax, mask.shape[1], mask_size)
        area[:] = rows @ mask @ columns.T
    return result


def _weights(low, high, pixels, cells):
    edges = np.linspace(low, high, cells + 1)
    overlap = np.minimum(edges[1:, None], np.arange(1, pixels + 1)) - np.maximum(edges[:-1, None], np.arange(pixels))
    return np.maximum(overlap, 0) * cells / (high - low)
