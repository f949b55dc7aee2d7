"""Masks of boxes, pasted into images."""

import numpy as np
import pytest

from serving.paste_masks import paste_masks


def paste_slowly(mask, box, height, width):
    """Reads the definition pixel by pixel, with bilinear interpolation between four cells."""
    ymin, xmin, ymax, xmax = map(float, box)
    pasted = np.zeros((height, width), bool)
    for y in range(height):
        for x in range(width):
            if not (ymin <= y + 0.5 < ymax and xmin <= x + 0.5 < xmax):
                continue
            row = np.clip((y + 0.5 - ymin) / (ymax - ymin) * len(mask) - 0.5, 0, len(mask) - 1)
            column = np.clip((x + 0.5 - xmin) / (xmax - xmin) * len(mask) - 0.5, 0, len(mask) - 1)
            top, left = int(row), int(column)
            bottom, right = min(top + 1, len(mask) - 1), min(left + 1, len(mask) - 1)
            upper = mask[top, left] + (mask[top, right] - mask[top, left]) * (column - left)
            lower = mask[bottom, left] + (mask[bottom, right] - mask[bottom, left]) * (column - left)
            pasted[y, x] = upper + (lower - upper) * (row - top) >= 0.5
    return pasted


def test_equals_the_definition_on_random_masks():
    rng = np.random.default_rng(0)
    corners = np.sort(rng.uniform(-8, 40, (30, 2, 2)), axis=1).reshape(30, 4).astype(np.float32)
    masks = rng.uniform(size=(30, 7, 7)).astype(np.float32)
    pasted = paste_masks(masks, corners, 24, 33)
    assert pasted.shape == (30, 24, 33) and pasted.dtype == bool
    assert pasted.any() and not pasted.all(axis=0).any()
    for ours, mask, box in zip(pasted, masks, corners, strict=True):
        np.testing.assert_array_equal(ours, paste_slowly(mask, box, 24, 33))


def test_a_full_mask_is_its_box():
    (pasted,) = paste_masks(np.ones((1, 3, 3), np.float32), np.float32([[2, 4, 7, 9]]), 10, 12)
    expected = np.zeros((10, 12), bool)
    expected[2:7, 4:9] = True
    np.testing.assert_array_equal(pasted, expected)


def test_a_half_covered_cell_is_the_instances():
    assert paste_masks(np.full((1, 28, 28), 0.5, np.float32), np.float32([[0, 0, 13, 17]]), 13, 17).all()


@pytest.mark.parametrize("box", [(3, 3, 3, 3), (5, 5, 2, 2), (-9, -9, -1, -1), (20, 20, 30, 30), (3.6, 3.6, 4.4, 4.4)])
def test_a_box_without_a_pixels_centre_is_empty(box):
    assert not paste_masks(np.ones((1, 5, 5), np.float32), np.float32([box]), 10, 10).any()


def test_no_masks():
    assert paste_masks(np.zeros((0, 5, 5), np.float32), np.zeros((0, 4), np.float32), 10, 12).shape == (0, 10, 12)
