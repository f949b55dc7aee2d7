"""The directory that holds a training run."""

import gc
import json
import shutil
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from fcis_tf.checkpoints import CheckpointWriter, restore
from fcis_tf.config import load_config, save_config
from fcis_tf.errors import UserError
from fcis_tf.model_directory import (
    build_model,
    check_before_training,
    describe_run,
    load_ensemble,
    load_trained,
)
from tests.tiny_config import tiny_config

CONFIG = tiny_config(training={"keep_checkpoints": 1})
SOURCE = SimpleNamespace(name="data.train", class_names=["cat", "dog"], category_ids=[17, 18])


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return build_model(CONFIG, 2)


@pytest.fixture(scope="module")
def saved(tmp_path_factory, model):
    """A directory to which the steps 5, 6 and 7 were saved, of which the last one is kept."""
    path = tmp_path_factory.mktemp("runs") / "deep" / "model"
    describe_run(path, CONFIG, SOURCE.class_names, SOURCE.category_ids)
    step = tf.Variable(0, dtype=tf.int64)
    optimizer = keras.optimizers.SGD(momentum=0.5)
    optimizer.build(model.trainable_variables)
    with CheckpointWriter(model, optimizer, step, path, keep=1) as checkpoints:
        for number in (5, 6, 7):
            step.assign(number)
            checkpoints.save()
    return path


@pytest.fixture
def model_dir(tmp_path, saved):
    return shutil.copytree(saved, tmp_path / "model")


def message_of(function, *arguments, **options):
    with pytest.raises(UserError) as error:
        function(*arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_trained_network_comes_back(model, model_dir):
    keras.utils.set_random_seed(1)
    trained = load_trained(model_dir)
    assert trained.step == 7 and trained.config == CONFIG
    assert (trained.class_names, trained.category_ids) == (["cat", "dog"], [17, 18])
    assert len(trained.model.variables) == len(model.variables)
    for variable, expected in zip(trained.model.variables, model.variables, strict=True):
        np.testing.assert_array_equal(variable, expected)


def test_the_network_can_be_used_with_another_configuration(model_dir):
    config = tiny_config(model={"proposals": {"after_nms": 7}})
    trained = load_trained(model_dir, config)
    assert trained.config == config
    assert trained.model(tf.zeros([1, 64, 64, 3]), second_pass=False)["rois"].shape == (1, 7, 4)
    message = message_of(load_trained, model_dir, tiny_config(model={"anchor_scales": [1.0, 3.0]}))
    assert message == f"model.anchor_scales is (1.0, 3.0), but (1.0, 2.0) in the network in {model_dir}"


def test_keeps_the_newest_checkpoint(model_dir):
    assert sorted(path.stem for path in model_dir.glob("*.index")) == ["checkpoint-7"]


def test_missing_directories_and_checkpoints(tmp_path):
    assert message_of(load_trained, tmp_path / "none") == (
        f"--model-dir {tmp_path / 'none'}: no such directory; train.py makes one"
    )
    describe_run(tmp_path / "new", CONFIG, SOURCE.class_names, SOURCE.category_ids)
    assert "no checkpoint there yet" in message_of(load_trained, tmp_path / "new")
    (tmp_path / "empty").mkdir()
    assert "config.yaml: cannot read this configuration" in message_of(load_trained, tmp_path / "empty")


def test_checkpoints_hold_every_variable_of_network_and_optimizer(model, model_dir):
    sizes = tf.train.load_checkpoint(str(model_dir / "checkpoint-7")).get_variable_to_shape_map().values()
    stored = sorted(tuple(size) for size in sizes if len(size) > 1)
    kernels = [variable for variable in model.variables if len(variable.shape) > 1]
    momenta = [variable for variable in model.trainable_variables if len(variable.shape) > 1]
    assert stored == sorted(tuple(variable.shape) for variable in kernels + momenta)


@pytest.mark.parametrize(
    "file, damage",
    [("index", "garbage"), ("index", "missing"), ("data", "truncated"), ("data", "missing")],
)
def test_damaged_checkpoints(model_dir, file, damage):
    (path,) = model_dir.glob(f"checkpoint-7.{file}*")
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"x" * len(content))
    message = message_of(load_trained, model_dir)
    assert "checkpoint-7: damaged" in message or "no checkpoint" in message


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"names": 3, "category_ids": 4}', "no JSON", "[" * 200_000])
def test_damaged_class_files(model_dir, text):
    (model_dir / "classes.json").write_text(text)
    assert f"{model_dir / 'classes.json'}: missing or damaged" in message_of(load_trained, model_dir)


@pytest.mark.parametrize("change", [{"backbone": "resnet34"}, {"anchor_scales": [1.0]}])
def test_weights_of_another_network(model_dir, change):
    save_config(tiny_config(model=change), model_dir / "config.yaml")
    assert "checkpoint-7: written by another network" in message_of(load_trained, model_dir)


def test_an_error_comes_without_warnings(model_dir, caplog, capsys):
    save_config(tiny_config(model={"backbone": "resnet34"}), model_dir / "config.yaml")
    # TensorFlow warns when it forgets a checkpoint: first those of other tests, then this one.
    gc.collect()
    caplog.clear()
    capsys.readouterr()
    message_of(load_trained, model_dir)
    gc.collect()
    assert not caplog.records and not capsys.readouterr().err


def test_weights_of_other_classes(model_dir):
    (model_dir / "classes.json").write_text(json.dumps({"names": ["a", "b", "c"], "category_ids": [1, 2, 3]}))
    assert "checkpoint-7: written by another network" in message_of(load_trained, model_dir)


# Ensembles


@pytest.fixture
def other_dir(tmp_path):
    """A directory with another network for the same classes."""
    path = tmp_path / "other"
    config = tiny_config(model={"anchor_scales": [1.0], "head_channels": 8})
    save(path, config, build_model(config, 2), step=3)
    return path


def save(path, config, model, step):
    describe_run(path, config, SOURCE.class_names, SOURCE.category_ids)
    optimizer, step = keras.optimizers.SGD(), tf.Variable(step, dtype=tf.int64)
    with CheckpointWriter(model, optimizer, step, path, keep=1) as checkpoints:
        checkpoints.save()


def test_every_network_of_an_ensemble_is_that_of_its_directory(model_dir, other_dir):
    config = tiny_config(model={"backbone": "resnet50", "proposals": {"after_nms": 7}})
    ensemble = load_ensemble([model_dir, other_dir], config)
    assert [trained.step for trained in ensemble] == [7, 3]
    assert [trained.config.model.anchor_scales for trained in ensemble] == [(1.0, 2.0), (1.0,)]
    for trained in ensemble:
        assert trained.class_names == ["cat", "dog"] and trained.config.inference == config.inference
        assert trained.model(tf.zeros([1, 64, 64, 3]), second_pass=False)["rois"].shape == (1, 7, 4)


def test_a_single_network_has_to_be_that_of_the_configuration(model_dir):
    assert load_ensemble([model_dir], CONFIG)[0].step == 7
    message = message_of(load_ensemble, [model_dir], tiny_config(model={"anchor_scales": [3.0]}))
    assert message == f"model.anchor_scales is (3.0,), but (1.0, 2.0) in the network in {model_dir}"


def test_an_ensemble_is_of_distinct_directories(model_dir):
    message = message_of(load_ensemble, [model_dir, model_dir / ".." / "model"], CONFIG)
    assert message == f"--model-dir {model_dir / '..' / 'model'}: this directory is named twice"


def test_an_ensemble_has_the_same_classes(model_dir, other_dir):
    (other_dir / "classes.json").write_text(json.dumps({"names": ["cat", "fox"], "category_ids": [17, 18]}))
    message = message_of(load_ensemble, [model_dir, other_dir], CONFIG)
    assert message == f"--model-dir {other_dir}: class 2 is 'fox', but 'dog' in the network in {model_dir}"


def test_an_ensemble_has_masks_of_the_same_size(model_dir, other_dir):
    save_config(tiny_config(model={"pooled_size": 3}), other_dir / "config.yaml")
    message = message_of(load_ensemble, [model_dir, other_dir], CONFIG)
    assert message.startswith(f"--model-dir {other_dir}: its masks cannot be averaged with those of {model_dir}")


# Opening for training


@pytest.mark.parametrize(
    "changes",
    [{"training": {"steps": 99}}, {"model": {"frozen_stages": [], "batch_norm": "trained"}}],
)
def test_a_run_may_be_continued_with_other_training(model_dir, changes):
    config = tiny_config(**changes)
    check_before_training(model_dir, config, SOURCE, resume=True)
    describe_run(model_dir, config, SOURCE.class_names, SOURCE.category_ids)
    assert load_config(model_dir / "config.yaml") == config


@pytest.mark.parametrize("resume", [True, False])
def test_a_run_may_begin_where_none_is(tmp_path, resume):
    check_before_training(tmp_path / "missing", CONFIG, SOURCE, resume)
    check_before_training(tmp_path, CONFIG, SOURCE, resume)
    assert not list(tmp_path.iterdir())


def test_a_run_is_not_continued_when_it_must_not(model_dir):
    message = message_of(check_before_training, model_dir, CONFIG, SOURCE, resume=False)
    assert message.startswith(f"--model-dir {model_dir}: holds checkpoints")
    other = tiny_config(model={"backbone": "resnet34"})
    message = message_of(check_before_training, model_dir, other, SOURCE, resume=True)
    assert message == f"model.backbone is resnet34, but resnet18 in the network in {model_dir}"
    classes = SimpleNamespace(name="data.train", class_names=["cat", "fox"], category_ids=[17, 18])
    message = message_of(check_before_training, model_dir, CONFIG, classes, resume=True)
    assert message == f"data.train: class 2 is 'fox', but 'dog' in the network in {model_dir}"


def test_variables_that_were_not_trained_before_begin_without_momentum(model_dir):
    thawed = build_model(tiny_config(model={"frozen_stages": []}), 2)
    optimizer = keras.optimizers.SGD(momentum=0.5)
    optimizer.build(thawed.trainable_variables)
    momenta = {variable.path: variable for variable in optimizer.variables if "momentum" in variable.path}
    for path, variable in momenta.items():
        if "rpn" in path:
            variable.assign(tf.ones_like(variable))
    step = tf.Variable(0, dtype=tf.int64)
    restore(str(model_dir / "checkpoint-7"), thawed, step, optimizer)
    assert step.numpy() == 7 and any("conv1" in path for path in momenta)
    # All momenta of the checkpoint are 0.
    assert not any(np.any(variable) for variable in momenta.values())


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    message = message_of(describe_run, tmp_path / "file" / "model", CONFIG, SOURCE.class_names, SOURCE.category_ids)
    assert message.startswith(f"--model-dir {tmp_path / 'file' / 'model'}: cannot make this directory")
