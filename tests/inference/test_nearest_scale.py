"""The choice of a scale by a region's area."""

import numpy as np
import pytest

from fcis_tf.inference.nearest_scale import nearest_scale

PAPERS = np.repeat([[480], [576], [688], [864], [1200], [1400]], 2, axis=1) / 600


@pytest.mark.parametrize(
    "height, width, scale",
    [
        (600, 1000, 480),
        (300, 300, 480),
        (224, 224, 576),
        (200, 200, 688),
        (112, 224, 864),
        (100, 100, 1400),
        (0, 0, 480),
    ],
)
def test_the_papers_scales_for_given_regions(height, width, scale):
    roi = np.float32([[10, 20, 10 + height, 20 + width]])
    assert PAPERS[nearest_scale(roi, np.float32(PAPERS))[0], 0] * 600 == scale


def test_the_distance_is_in_pixels():
    factors = np.float32([[1, 1], [2, 1]])
    # Half the canonical area or all of it; four fifths or eight fifths; five eighths or five quarters.
    areas = 224 * 224 * np.array([0.5, 0.8, 0.625])
    rois = np.float32([[0, 0, 224, area / 224] for area in areas])
    np.testing.assert_array_equal(nearest_scale(rois, factors), [1, 0, 1])


def test_chooses_as_a_loop_does():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 500, (3, 50, 2))
    rois = np.float32(np.concatenate([low, low + rng.uniform(0, 500, (3, 50, 2))], axis=-1))
    factors = np.float32(rng.uniform(0.3, 3, (5, 2)))
    found = nearest_scale(rois, factors).numpy()
    for roi, choice in zip(rois.reshape(-1, 4), found.reshape(-1), strict=True):
        sides = (roi[2:] - roi[:2])[None] * factors
        assert choice == np.argmin(np.abs(sides[:, 0] * sides[:, 1] - 224**2))
    assert set(found.reshape(-1)) == set(range(5))


def test_the_first_of_equal_scales():
    roi = np.float32([[0, 0, 100, 100]])
    assert nearest_scale(roi, np.float32([[1, 1], [2, 2], [2, 2]]))[0] == 1
