"""What training begins with: other networks' weights, as far as they fit, and what is said about them."""

import keras
import numpy as np
import pytest

from fcis_tf import load_model
from fcis_tf.convert.initialization import initialize
from fcis_tf.errors import UserError
from fcis_tf.model_directory import build_model, describe_run, save_network
from tests.tiny_config import tiny_config

CONFIG = tiny_config()
CLASSES = ["cat", "dog", "cow"]
CELLS = CONFIG.model.group_size**2


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model directory, and its values by path."""
    keras.utils.set_random_seed(1)
    path = tmp_path_factory.mktemp("runs") / "animals"
    model = build_model(CONFIG, len(CLASSES))
    rng = np.random.default_rng(0)
    for variable in model.variables:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    describe_run(path, CONFIG, CLASSES, [1, 2, 3])
    save_network(model, path)
    return path, values_of(model)


@pytest.fixture(scope="module")
def untouched():
    """A network at random, which no test changes."""
    return build_model(CONFIG, len(CLASSES))


def values_of(model):
    return {variable.path: variable.numpy() for variable in model.variables}


def start(class_names, path, **changes):
    """Returns the network before and after, as values by path, and the lines."""
    config = tiny_config(init=str(path), **changes)
    keras.utils.set_random_seed(2)
    model = build_model(config, len(class_names))
    before = values_of(model)
    lines = initialize(model, config, class_names)
    return before, values_of(model), lines


def differing(values, others):
    return {path.split("/", 1)[1] for path in values if not np.array_equal(values[path], others.get(path))}


def test_without_init_nothing_happens(untouched):
    before = values_of(untouched)
    assert initialize(untouched, CONFIG, CLASSES) == []
    assert not differing(before, values_of(untouched))


def test_same_classes_get_everything(trained):
    path, expected = trained
    _, values, lines = start(CLASSES, path)
    assert not differing(values, expected)
    assert lines == [f"init: {path}: loaded {len(expected)} of the network's {len(expected)} variables"]


@pytest.mark.parametrize("classes", [["cat", "dog"], ["a", "b", "c"], ["dog", "cat", "cow"]])
def test_other_classes_get_all_but_the_score_maps(trained, classes):
    path, expected = trained
    before, values, lines = start(classes, path)
    score_maps = {"head/score_maps/kernel", "head/score_maps/bias"}
    assert differing(values, expected) == score_maps
    assert not score_maps & differing(values, before)
    count = len(expected)
    assert lines == [
        f"init: {path}: loaded {count - 2} of the network's {count} variables",
        f"init: {path}: not loaded: head/score_maps is of other classes (init_classes can name like ones) (2)",
        "init: random as before: head/score_maps (2)",
    ]


def test_named_classes_get_their_channels(trained):
    path, expected = trained
    before, values, lines = start(["wolf", "horse"], path, init_classes={"wolf": "dog"})
    for name in ("kernel", "bias"):
        path_of = f"fcis/head/score_maps/{name}"
        theirs = expected[path_of].reshape(-1, CELLS, 4, 2)
        ours, random = (x[path_of].reshape(-1, CELLS, 3, 2) for x in (values, before))
        np.testing.assert_array_equal(ours[..., 0, :], theirs[..., 0, :])
        np.testing.assert_array_equal(ours[..., 1, :], theirs[..., 2, :])
        np.testing.assert_array_equal(ours[..., 2, :], random[..., 2, :])
    assert f"init: {path}: classes that begin wolf as dog; at random: horse" in lines


def test_what_does_not_fit_is_said(trained):
    path, expected = trained
    _, values, lines = start(CLASSES, path, model={"rpn_channels": 8})
    layers = ("rpn/conv", "rpn/logits", "rpn/offsets")
    assert differing(values, expected) == {f"{layer}/{name}" for layer in layers for name in ("kernel", "bias")}
    text = "\n".join(lines)
    assert "not loaded: rpn/conv has shape [3, 3, 256, 16] there, not [3, 3, 256, 8]" in text
    assert "random as before: rpn/conv (2)" in text


def test_conventions_that_differ_are_said(trained):
    path, expected = trained
    _, values, lines = start(CLASSES, path, model={"round_rois": False, "anchor_scales": [1.0, 4.0]})
    assert not differing(values, expected)
    assert lines[1:] == [
        f"init: {path}: attention: model.{difference} when these weights were trained"
        for difference in ("anchor_scales is (1.0, 4.0), but was (1.0, 2.0)", "round_rois is False, but was True")
    ]


@pytest.mark.parametrize(
    "changes, problem",
    [
        ({"init": "runs/missing"}, "init: runs/missing: no such directory; expected imagenet, a file"),
        ({"init": "missing.h5"}, "no weights of resnet18"),
        ({"init": "missing.params"}, "missing.params: no such file"),
        ({"init": None, "init_classes": {"cat": "dog"}}, "init_classes: expected init to name a model directory"),
        ({"init_classes": {"wolf": "dog"}}, "init_classes: wolf is not a class of the data; those are cat, dog, cow"),
        ({"init_classes": {"cat": "wolf"}}, "init_classes: wolf is not a class of"),
    ],
)
def test_mistakes(trained, untouched, changes, problem):
    config = tiny_config(**({"init": str(trained[0])} | changes))
    before = values_of(untouched)
    with pytest.raises(UserError) as error:
        initialize(untouched, config, CLASSES)
    assert not differing(before, values_of(untouched))
    assert problem in str(error.value) and "\n" not in str(error.value)


def test_load_model(trained):
    loaded = load_model(trained[0])
    assert loaded.class_names == CLASSES and not differing(values_of(loaded.model), trained[1])
