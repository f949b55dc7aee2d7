"""Whether a configuration and a data set go with a trained network."""

import pytest

from fcis_tf.compatibility import check_same_classes, check_same_mask_size, check_same_model, with_network_of
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
        {"rematerialize": True},
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
        ("head", "separate_maps"),
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


def test_the_network_of_another_configuration():
    used = make_config(backbone="resnet50", precision="mixed_bfloat16", proposals={"after_nms": 10})
    trained = make_config(backbone="resnet18", pooled_size=14, proposals={"after_nms": 20})
    both = make_config(
        backbone="resnet18", pooled_size=14, precision="mixed_bfloat16", proposals={"after_nms": 10}
    )
    assert with_network_of(used, trained) == both
    check_same_model(both, trained, "runs/a")


def test_names_the_size_of_masks_that_differs():
    check_same_mask_size(make_config(group_size=3), "runs/b", make_config(), "runs/a")
    with pytest.raises(UserError) as error:
        check_same_mask_size(make_config(pooled_size=14), "runs/b", make_config(), "runs/a")
    assert str(error.value) == (
        "--model-dir runs/b: its masks cannot be averaged with those of runs/a, which are of 21 x 21 cells, not "
        "14 x 14 (model.pooled_size or model.head)"
    )
