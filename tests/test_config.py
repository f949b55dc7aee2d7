"""Configurations: what is taken, what is refused, and how that is said."""

from pathlib import Path

import pytest
import yaml

from fcis_tf.config import Config, config_as_yaml, load_config, save_config
from fcis_tf.errors import UserError
from tests.tiny_config import tiny_values

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))

FORMATS = "digits, coco, sbd, voc or tfrecord"


def write(tmp_path, values):
    path = tmp_path / "config.yaml"
    path.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
    return path


def message_of(tmp_path, values, overrides=()):
    """The message of the error that a configuration gives: one line, which names the file."""
    path = write(tmp_path, values)
    with pytest.raises(UserError) as error:
        load_config(path, overrides)
    message = str(error.value)
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_of_the_project_loads_and_round_trips(path, tmp_path):
    config = load_config(path)
    assert load_config(write(tmp_path, config_as_yaml(config))) == config


def test_the_project_has_configurations():
    assert "digits" in [path.stem for path in CONFIGS]


def test_defaults_are_those_of_the_paper(tmp_path):
    config = load_config(write(tmp_path, {"data": tiny_values()["data"]}))
    assert config.model.backbone == "resnet101" and config.model.group_size == 7 and config.model.pooled_size == 21
    assert config.model.proposals.after_nms == 300 and config.training.roi_targets.rois_per_image == 128
    assert config.training.momentum == 0.9 and config.training.weight_decay == 0.0005
    assert config.inference.nms_threshold == 0.3 and config.inference.binary_threshold == 0.4
    assert config.inference.test_scales == () and not config.inference.horizontal_flip


def test_saving_and_loading_round_trips(tmp_path):
    coco = {"format": "coco", "images": "some/where", "annotations": "some/where.json", "max_images": 8}
    values = tiny_values(training={"gradient_clip_norm": 10, "seed": 3})
    values["data"]["train"] = coco
    config = Config.model_validate(values)
    save_config(config, tmp_path / "saved.yaml")
    assert load_config(tmp_path / "saved.yaml") == config
    assert [path.name for path in tmp_path.iterdir()] == ["saved.yaml"]


def test_a_configuration_that_cannot_be_saved_is_named(tmp_path):
    path = tmp_path / "missing" / "saved.yaml"
    with pytest.raises(UserError, match=f"^{path}: cannot write this file: No such file or directory$"):
        save_config(Config.model_validate(tiny_values()), path)


@pytest.mark.parametrize(
    "changes, key, nearest",
    [
        ({"modle": {}}, "modle", "model"),
        ({"model": {"bakbone": "resnet18"}}, "model.bakbone", "backbone"),
        ({"model": {"proposals": {"nms_treshold": 0.5}}}, "model.proposals.nms_treshold", "nms_threshold"),
        ({"data": {"train": {"hieght": 64}}}, "data.train.hieght", "height"),
        ({"data": {"eval": {"max_digit": 64}}}, "data.eval.max_digit", "max_digits"),
        ({"training": {"learning_rate": {"warm_up_steps": 5}}}, "training.learning_rate.warm_up_steps", "warmup_steps"),
        ({"training": {"loss_weights": {"mask": 5}}}, "training.loss_weights.mask", "roi_mask"),
    ],
)
def test_unknown_keys_are_named_with_the_nearest_one(tmp_path, changes, key, nearest):
    assert message_of(tmp_path, tiny_values(**changes)) == f"{key}: unknown key, did you mean {nearest}?"


@pytest.mark.parametrize(
    "changes, key, value",
    [
        ({"model": {"backbone": "vgg16"}}, "model.backbone", "'vgg16'"),
        ({"model": {"anchor_scales": []}}, "model.anchor_scales", "[]"),
        ({"model": {"anchor_scales": [8, "big"]}}, "model.anchor_scales.1", "'big'"),
        ({"model": {"frozen_stages": ["conv6"]}}, "model.frozen_stages.0", "'conv6'"),
        ({"model": {"box_target_stds": [1, 1, 1]}}, "model.box_target_stds.3", ""),
        ({"data": {"train": {"height": 31}}}, "data.train.height", "31"),
        ({"data": {"eval": {"width": 8}}}, "data.eval.width", "8"),
        ({"data": {"train": {"split": "test"}}}, "data.train.split", "'test'"),
        ({"training": {"steps": 0}}, "training.steps", "0"),
        ({"training": {"steps": 1.5}}, "training.steps", "1.5"),
        ({"training": {"steps": None}}, "training.steps", "None"),
        ({"training": {"momentum": 1.5}}, "training.momentum", "1.5"),
        ({"training": {"weight_decay": "much"}}, "training.weight_decay", "'much'"),
        ({"training": {"weight_decay": float("nan")}}, "training.weight_decay", "nan"),
        ({"training": {"seed": -1}}, "training.seed", "-1"),
        ({"training": {"seed": 2**40}}, "training.seed", str(2**40)),
        ({"inference": {"nms_threshold": -0.1}}, "inference.nms_threshold", "-0.1"),
        ({"inference": {"test_scales": [600, 0]}}, "inference.test_scales.1", "0"),
        ({"inference": {"test_scales": 600}}, "inference.test_scales", "600"),
        ({"inference": {"test_scales": [600, 600]}}, "inference.test_scales", "expected scales that differ"),
        ({"inference": {"horizontal_flip": "both"}}, "inference.horizontal_flip", "'both'"),
        ({"inference": {"boxes": "tight"}}, "inference.boxes", "'masks' or 'rois'"),
    ],
)
def test_wrong_values_are_named(tmp_path, changes, key, value):
    message = message_of(tmp_path, tiny_values(**changes))
    assert message.startswith(f"{key}: ") and value in message


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"model": 3}, "model: expected keys with values, found 3"),
        ({"model": None}, "model: expected keys with values, found None"),
        ({"model": {"proposals": []}}, "model.proposals: expected keys with values, found []"),
        ({"data": {"eval": "coco"}}, "data.eval: expected keys with values, found 'coco'"),
        ({"data": {"eval": {"format": "lvis"}}}, f"data.eval.format: expected {FORMATS}, found 'lvis'"),
        ({"data": {"eval": {"format": [1]}}}, f"data.eval.format: expected {FORMATS}, found [1]"),
        (
            {"training": {"learning_rate": {"multipliers": 3}}},
            "training.learning_rate.multipliers: expected keys with values, found 3",
        ),
    ],
)
def test_wrong_sections_and_formats_are_named(tmp_path, changes, message):
    assert message_of(tmp_path, tiny_values(**changes)) == message


@pytest.mark.parametrize(
    "boundaries, values", [([10], [1]), ([], [1, 2]), ([10, 10], [1, 2, 3]), ([20, 10], [1, 2, 3])]
)
def test_boundaries_increase_and_fit_the_values(tmp_path, boundaries, values):
    changes = {"learning_rate": {"boundaries": boundaries, "values": values}}
    message = message_of(tmp_path, tiny_values(training=changes))
    assert message == "training.learning_rate: boundaries must increase and be one fewer than values"


def test_the_pooled_size_is_a_multiple_of_the_group_size(tmp_path):
    message = message_of(tmp_path, tiny_values(model={"pooled_size": 10}))
    assert message == "model: pooled_size 10 must be a multiple of group_size 3"


def test_the_evaluation_set_is_finite(tmp_path):
    message = message_of(tmp_path, tiny_values(data={"eval": {"scenes": 0}}))
    assert message == "data.eval: evaluation needs a finite data set, set scenes to 1 or more"


def test_sbd_takes_a_split_or_a_list(tmp_path):
    values = tiny_values()
    values["data"]["train"] = {"format": "sbd", "root": "sbd"}
    expected = "data.train: set either split, to train or val, or image_list, to the path of a list of images"
    assert message_of(tmp_path, values) == expected
    values["data"]["train"]["image_lst"] = "train.txt"
    assert message_of(tmp_path, values) == "data.train.image_lst: unknown key, did you mean image_list?"


def test_missing_keys_are_named(tmp_path):
    values = tiny_values()
    del values["data"]["eval"]["split"]
    assert message_of(tmp_path, values) == "data.eval.split: this key is missing"
    del values["data"]["eval"]["format"]
    assert message_of(tmp_path, values) == "data.eval.format: this key is missing"
    assert message_of(tmp_path, {}) == "data: this key is missing"


def test_all_mistakes_are_named_at_once(tmp_path):
    message = message_of(tmp_path, tiny_values(model={"backbone": 3}, training={"step": 3}))
    assert "model.backbone: " in message and "; training.step: unknown key" in message


def test_the_nearest_key_is_of_the_same_data_set_format(tmp_path):
    values = tiny_values()
    values["data"]["train"] = {"format": "coco", "images": "a", "annotation": "b"}
    assert "data.train.annotation: unknown key, did you mean annotations?" in message_of(tmp_path, values)


# Overrides


def test_overrides_replace_single_values(tmp_path):
    path = write(tmp_path, tiny_values())
    overrides = [
        "training.steps=7",
        "training.weight_decay=1e-4",
        "training.learning_rate.multipliers={rpn: 2}",
        "model.anchor_scales=[1, 2, 3]",
        "inference.second_pass=false",
        "training.gradient_clip_norm=null",
        "training.steps=8",
    ]
    expected = tiny_values(
        training={
            "steps": 8,
            "weight_decay": 1e-4,
            "gradient_clip_norm": None,
            "learning_rate": {"multipliers": {"rpn": 2}},
        },
        model={"anchor_scales": [1, 2, 3]},
        inference={"second_pass": False},
    )
    assert load_config(path, overrides) == Config.model_validate(expected)


@pytest.mark.parametrize(
    "override, message",
    [
        ("training.steps", "expected KEY.KEY=VALUE"),
        ("=3", "expected KEY.KEY=VALUE"),
        ("training..steps=3", "expected KEY.KEY=VALUE"),
        ("training.steps=[3", "the value is not YAML"),
        ("training.steps.more=3", "steps is not a section"),
    ],
)
def test_overrides_of_the_wrong_form_are_named(tmp_path, override, message):
    with pytest.raises(UserError, match=f"^--override .*{message}$"):
        load_config(write(tmp_path, tiny_values()), [override])


def test_overrides_are_checked_like_the_file(tmp_path):
    assert "training.stepz: unknown key" in message_of(tmp_path, tiny_values(), ["training.stepz=3"])


# Files


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "expected a YAML mapping of sections, found NoneType"),
        ("- model\n", "expected a YAML mapping of sections, found list"),
        ("model: [\n", "not YAML"),
        ("model: \x00\n", "not YAML"),
        ("1: 2\n", "1"),
    ],
)
def test_files_of_the_wrong_form(tmp_path, text, message):
    assert message in message_of(tmp_path, text)


def test_files_that_cannot_be_read(tmp_path):
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\xff")
    for path, message in (
        (tmp_path / "missing.yaml", "cannot read this configuration: No such file"),
        (tmp_path, "cannot read this configuration: Is a directory"),
        (binary, "not YAML"),
    ):
        with pytest.raises(UserError) as error:
            load_config(path)
        assert str(error.value).startswith(f"{path}: {message}") and "\n" not in str(error.value)


def test_the_eight_photographs_are_overridden_one_use_at_a_time():
    config = load_config("configs/coco8_overfit.yaml", ["data.eval.max_images=2"])
    assert (config.data.train.max_images, config.data.eval.max_images) == (8, 2)
