"""Whether a configuration and a data set go with a trained network."""

import pytest

from fcis_tf.compatibility import check_same_classes, check_same_model
from fcis_tf.config import Config
from fcis_tf.errors import UserError

DIGITS = {"format": "digits", "split": "eval", "scenes": 2}


def make_config(**model):
    return Config.model_validate({"model": model, "data": {"train": DIGITS, "eval": DIGITS}})


def test_the_same_model_passes_whatever_the_rest():
    check_same_model(make_config(), "a.yaml", make_config(), "runs/a")


@pytest.mark.parametrize(
    ("model", "key"),
    [({"backbone": "resnet50"}, "model.backbone"), ({"proposals": {"after_nms": 10}}, "model.proposals.after_nms")],
)
def test_names_the_key_that_differs(model, key):
    with pytest.raises(UserError, match=f"a.yaml: {key} is .*runs/a"):
        check_same_model(make_config(**model), "a.yaml", make_config(), "runs/a")


def test_names_the_class_that_differs():
    check_same_classes(["cat", "dog"], "a.yaml", ["cat", "dog"], "runs/a")
    with pytest.raises(UserError, match="class 2 .*'cow'.*'dog'"):
        check_same_classes(["cat", "cow"], "a.yaml", ["cat", "dog"], "runs/a")
    with pytest.raises(UserError, match="1 classes.*2"):
        check_same_classes(["cat"], "a.yaml", ["cat", "dog"], "runs/a")
