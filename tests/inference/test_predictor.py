"""Prediction on one image."""

import numpy as np
import pytest

from fcis_tf.config import Config
from fcis_tf.inference import Predictor
from tests.inference.quarter_model import QuarterModel

DATA = {"format": "digits", "split": "eval", "scenes": 1}


def make_config(**inference):
    data = {"train": DATA, "eval": DATA, "short_side": 64, "long_side": 128}
    return Config.model_validate({"data": data, "inference": inference})


def test_finds_instances_at_the_resolution_of_every_image_with_one_graph():
    model = QuarterModel()
    predictor = Predictor(model, make_config())
    for height, width in ((40, 60), (100, 31), (1, 1), (8, 600)):
        instances = predictor.predict(np.zeros((height, width, 3), np.uint8))
        expected = np.zeros((height, width), bool)
        # A pixel of a side of one is in the quarter since its centre is on the edge of a box that is half-open.
        expected[: height // 2, : width // 2] = True
        if expected.any():
            np.testing.assert_array_equal(instances.masks, expected[None])
            np.testing.assert_array_equal(instances.boxes, [[0, 0, height // 2, width // 2]])
            np.testing.assert_array_equal(instances.classes, [2])
            assert instances.scores[0] == pytest.approx(1 / (1 + np.exp(-5)), abs=1e-3)
        else:
            assert instances.masks.shape == (0, height, width)
    assert model.traces == 1


@pytest.mark.parametrize("second_pass", [True, False])
def test_the_configuration_says_whether_there_is_a_second_pass(second_pass):
    model = QuarterModel()
    Predictor(model, make_config(second_pass=second_pass)).predict(np.zeros((8, 8, 3), np.uint8))
    assert model.second_pass is second_pass
