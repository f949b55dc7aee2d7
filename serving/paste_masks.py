"""Masks of boxes, pasted into images."""

import numpy as np


def paste_masks(masks, boxes, height, width):
    """Renders masks that cover boxes at the resolution of an image.

    A mask's value at the centre of a pixel is interpolated bilinearly between the centres of its cells; beyond the
    outermost centres it is that of the nearest cell, and outside the box 0. Pixels of 0.5 and more are the instance's.

    Args:
        masks: [D, M, M] float32 in 0..1, how much of each cell of its box an instance covers.
        boxes: [D, 4] float32 (ymin, xmin, ymax, xmax), half-open, in pixels of the image; they may reach beyond it.
        height, width: of the image.

    Returns:
        [D, height, width] bool.
    """
    pasted = np.zeros((len(masks), height, width), bool)
    for canvas, mask, (ymin, xmin, ymax, xmax) in zip(pasted, masks, boxes, strict=True):
        rows, row_weights = _interpolation(ymin, ymax, height, len(mask))
        columns, column_weights = _interpolation(xmin, xmax, width, len(mask))
        # Bilinear interpolation is separable. Sums of float32 weights are off by less than this.
        canvas[rows, columns] = row_weights @ mask @ column_weights.T >= 0.5 - 1e-5
    return pasted


def _interpolation(low, high, num_pixels, num_cells):
    """Returns the slice of the pixels whose centres are between two edges, and [pixels, cells] the cells' weights."""
    begin, end = np.clip(np.ceil(np.array([low, high]) - 0.5), 0, num_pixels).astype(int)
    centers = np.arange(begin, end) + 0.5
    positions = np.clip((centers - low) / (high - low) * num_cells - 0.5, 0, num_cells - 1)
    weights = np.maximum(1 - np.abs(positions[:, None] - np.arange(num_cells)), 0)
    return slice(begin, max(begin, end)), weights.astype(np.float32)
