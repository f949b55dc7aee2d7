"""Whether a configuration and a data set go with a trained network."""

import pytest

from fcis_tf.compatibility import check_same_classes, check_same_model
from fcis_tf.config import Config
from fcis_tf.errors import UserError

DIGITS = {"format": "digits", "split": "eval", "scenes": 2}


def make_config(**model):
    return Config.model_validate({"model": model, "data": {"train": DIGITS, "eval": DIGITS}})


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"proposals": {"after_nms": 10}},
        {"frozen_stages": []},
        {"precision": "mixed_bfloat16"},
        {"batch_norm": "trained", "batch_norm_momentum": 0.5},
    ],
)
def test_the_same_network_passes_however_it_is_trained_and_used(model):
    check_same_model(make_config(**model), make_config(), "runs/a")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("backbone", "resnet50"),
        ("anchor_scales", [1, 2, 3]),
        ("anchor_ratios", [1]),
        ("rpn_channels", 8),
        ("head_channels", 8),
        ("group_size", 3),
        ("pooled_size", 14),
        ("box_target_stds", [1, 1, 1, 1]),
    ],
)
def test_names_the_key_of_another_network(key, value):
    with pytest.raises(UserError, match=f"^model.{key} is .*, but .* in the network in runs/a$"):
        check_same_model(make_config(**{key: value}), make_config(), "runs/a")


def test_names_the_class_that_differs():
    check_same_classes(["cat", "dog"], "data.eval", ["cat", "dog"], "runs/a")
    with pytest.raises(UserError, match="^data.eval: class 2 is 'cow', but 'dog' in runs/a$"):
        check_same_classes(["cat", "cow"], "data.eval", ["cat", "dog"], "runs/a")
    with pytest.raises(UserError, match="^data.eval: has 1 classes, but runs/a has 2$"):
        check_same_classes(["cat"], "data.eval", ["cat", "dog"], "runs/a")
