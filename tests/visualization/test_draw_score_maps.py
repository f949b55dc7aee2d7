"""The drawing of one region's score maps."""

import numpy as np
import pytest

from fcis_tf.visualization import draw_score_maps
from fcis_tf.visualization.draw_score_maps import _maps_of_class

SETTINGS = dict(group_size=3, pooled_size=6, stride=16, binary_threshold=0.4)


def score_maps(height, width, classes=2, seed=0):
    shape = height, width, 9 * (classes + 1) * 2
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((160, 240), (20, 30, 120, 200)),
        ((160, 240), (0, 0, 160, 240)),
        ((160, 240), (150, 230, 160, 240)),
        ((160, 240), (70, 5, 72, 235)),
        ((160, 240), (50, 60, 50, 60)),
        ((160, 240), (159.9, 239.9, 160, 240)),
        ((1, 1), (0, 0, 1, 1)),
    ],
)
def test_draws_regions_of_every_shape(size, box):
    image = np.full((*size, 3), 90, np.uint8)
    maps = score_maps(-(-size[0] // 16), -(-size[1] // 16))
    drawn = draw_score_maps(image, maps, box, 2, "dog", **SETTINGS)
    assert drawn.dtype == np.uint8 and drawn.ndim == 3 and drawn.shape[2] == 3
    assert max(drawn.shape) < 2500


def test_reads_the_channels_in_their_order():
    maps = np.arange(9 * 3 * 2, dtype=np.float32).reshape(1, 1, -1)
    of_class = _maps_of_class(maps, 2, 3)
    for row, column, side in np.ndindex(3, 3, 2):
        assert of_class[0, 0, row, column, side] == ((row * 3 + column) * 3 + 2) * 2 + side


def test_shows_only_the_maps_of_the_class():
    image = np.full((64, 64, 3), 90, np.uint8)
    maps = score_maps(4, 4).reshape(4, 4, 9, 3, 2)
    others = maps.copy()
    others[..., 1, :] += 5
    same, other = (
        draw_score_maps(image, m.reshape(4, 4, -1), (8, 8, 50, 50), 2, "dog", **SETTINGS) for m in (maps, others)
    )
    np.testing.assert_array_equal(same, other)


def test_a_region_inside_everywhere_gets_a_full_mask():
    image = np.full((64, 64, 3), 90, np.uint8)
    maps = np.zeros((4, 4, 9, 3, 2), np.float32)
    maps[..., 2, 1] = 5
    full = draw_score_maps(image, maps.reshape(4, 4, -1), (8, 8, 56, 56), 2, "dog", **SETTINGS)
    empty = draw_score_maps(image, -maps.reshape(4, 4, -1), (8, 8, 56, 56), 2, "dog", **SETTINGS)
    # The right quarter of the drawing holds the image with the mask.
    quarter = full.shape[1] // 4
    assert np.ptp(full[:, -quarter:].astype(int), axis=2).max() > 60
    tinted = [np.ptp(drawn[:, -quarter:].astype(int), axis=2) > 20 for drawn in (full, empty)]
    assert tinted[0].sum() > 4 * tinted[1].sum()
