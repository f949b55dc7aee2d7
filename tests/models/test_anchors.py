"""Anchors against ChainerCV's and by hand."""

from pathlib import Path

import numpy as np
import pytest

from fcis_tf.models.anchors import anchor_shapes, make_anchors

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "anchor_base.npz"


@pytest.mark.parametrize("key, scales", [("r0", (8, 16, 32)), ("r1", (4, 8, 16, 32))])
def test_equal_chainercv(key, scales):
    if not REFERENCE.exists():
        pytest.skip(f"{REFERENCE} is not there")
    np.testing.assert_allclose(make_anchors(1, 1, scales, (0.5, 1, 2), 16), np.load(REFERENCE)[key], rtol=1e-6)


def test_have_the_area_of_their_scale_and_their_ratio():
    shapes = anchor_shapes((2, 5), (0.5, 1, 4), 16)
    np.testing.assert_allclose(shapes.prod(axis=1), [32**2, 80**2] * 3, rtol=1e-6)
    np.testing.assert_allclose(shapes[:, 0] / shapes[:, 1], [0.5, 0.5, 1, 1, 4, 4], rtol=1e-6)


def test_lie_on_the_centres_of_cells_the_anchor_varying_fastest_then_the_column():
    anchors = make_anchors(2, 3, (1, 2), (4,), 16).numpy().reshape(2, 3, 2, 4)
    np.testing.assert_array_equal(anchors[0, 0], [[-8, 4, 24, 12], [-24, 0, 40, 16]])
    np.testing.assert_array_equal(anchors[0, 2] - anchors[0, 0], [[0, 32, 0, 32]] * 2)
    np.testing.assert_array_equal(anchors[1, 0] - anchors[0, 0], [[16, 0, 16, 0]] * 2)
