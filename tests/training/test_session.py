"""Whole training runs on tiny scenes: what they leave behind, and how they go on after an interruption."""

import json
import logging
import math
import re
import shutil
from collections import defaultdict

import numpy as np
import pytest
import tensorflow as tf
import yaml
from tensorflow.core.util import event_pb2
from tensorflow.python.framework.config import disable_op_determinism

from fcis_tf.config import Config, load_config
from fcis_tf.errors import UserError
from fcis_tf.losses import JointLoss
from fcis_tf.model_directory import load_trained
from fcis_tf.training import session, train, trainer
from tests.tiny_config import tiny_config

TRAINING = {"steps": 4, "log_every": 1, "checkpoint_every": 1, "images_every": 2, "keep_checkpoints": 2}
TRAINING |= {"deterministic": True}
CONFIG = tiny_config(model={"batch_norm": "trained"}, training=TRAINING)
METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")


@pytest.fixture(scope="module", autouse=True)
def determinism_ends_here():
    yield
    disable_op_determinism()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The directory and the metrics of a run of 4 steps."""
    model_dir = tmp_path_factory.mktemp("finished")
    return model_dir, train(CONFIG, model_dir, progress=False)


class LossOfBatch(JointLoss):
    """A joint loss whose term roi_mask is multiplied by a factor of the batch."""

    def __call__(self, maps, batch):
        losses, accuracies = super().__call__(maps, batch)
        return losses | {"roi_mask": losses["roi_mask"] * batch["factor"]}, accuracies


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """The directory and the error of the same run, but in step 2 a term of the loss is no number."""
    training_batches = session.training_batches

    def with_factors(*arguments, **options):
        factors = tf.data.Dataset.range(4).map(lambda step: tf.where(step < 2, 1.0, math.nan))
        batches = tf.data.Dataset.zip(training_batches(*arguments, **options), factors)
        return batches.map(lambda batch, factor: batch | {"factor": factor})

    model_dir = tmp_path_factory.mktemp("broken")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "training_batches", with_factors)
        patch.setattr(trainer, "JointLoss", LossOfBatch)
        with pytest.raises(UserError) as error:
            train(CONFIG, model_dir, progress=False)
    return model_dir, str(error.value)


def copy_of(model_dir, tmp_path):
    """A copy of the directory with the newest checkpoint alone."""
    older = shutil.ignore_patterns("checkpoint-3*")
    return shutil.copytree(model_dir, tmp_path / "model", ignore=older)


def contents(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def checkpoints(model_dir):
    return sorted(path.stem for path in model_dir.glob("checkpoint-*.index"))


def events(model_dir):
    """Returns {tag, with the directory of its curve: {step: value}}; of pictures and text only that they are there."""
    found = defaultdict(dict)
    for path in model_dir.rglob("events.out.tfevents.*"):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = event_pb2.Event.FromString(record)
            for value in event.summary.value:
                tag = path.parent.relative_to(model_dir) / value.tag
                tensor = tf.make_ndarray(value.tensor)
                found[str(tag)][event.step] = tensor if tensor.shape else tensor.item()
    return found


def test_metrics_are_returned_and_written(finished):
    model_dir, metrics = finished
    written = json.loads((model_dir / "metrics.json").read_text())
    assert written == {"step": 4, **metrics.summary}
    assert {kind: tuple(values) for kind, values in metrics.summary.items()} == {"segm": METRICS, "bbox": METRICS}
    assert all(isinstance(value, float) for values in metrics.summary.values() for value in values.values())


def test_the_directory_holds_all_that_the_network_needs(finished):
    model_dir, _ = finished
    assert load_config(model_dir / "config.yaml") == CONFIG
    assert json.loads((model_dir / "classes.json").read_text())["names"] == [str(digit) for digit in range(10)]
    assert checkpoints(model_dir) == ["checkpoint-3", "checkpoint-4"]
    assert load_trained(model_dir).step == load_trained(model_dir / "best").step == 4


def test_tensorboard_shows_curves(finished):
    found = events(finished[0])
    terms = ("rpn_class", "rpn_box", "roi_class", "roi_mask", "roi_box", "total")
    accuracies = ("rpn", "rpn_foreground", "roi", "roi_foreground", "mask_pixels")
    curves = [f"train/loss/{term}" for term in terms] + [f"train/accuracy/{name}" for name in accuracies]
    curves += ["train/learning_rate", "train/gradient_norm", "train/images_per_second"]
    for tag in curves:
        assert list(found[tag]) == [1, 2, 3, 4], tag
    for step, total in found["train/loss/total"].items():
        assert total == pytest.approx(sum(found[f"train/loss/{term}"][step] for term in terms[:-1]), rel=1e-4)
        assert found["train/learning_rate"][step] == pytest.approx(1e-3)
        assert found["train/gradient_norm"][step] > 0 and found["train/images_per_second"][step] > 0
    for tag in [f"eval/{kind}/{name}" for kind in ("segm", "bbox") for name in METRICS]:
        assert list(found[tag]) == [4], tag


def test_tensorboard_shows_pictures_and_the_configuration(finished):
    found = events(finished[0])
    for scene in range(2):
        for name in ("predictions_and_ground_truth", "proposals", "score_maps"):
            tag = f"pictures/{name}/{scene}"
            assert list(found[tag]) == [2, 4], tag
            width, height, png = found[tag][4]
            image = tf.io.decode_png(png)
            assert image.shape == (int(height), int(width), 3) and len(np.unique(image)) > 10
    (text,) = found["pictures/config"].values()
    assert Config.model_validate(yaml.safe_load(text)) == CONFIG


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_draws_and_evaluates(tmp_path, precision):
    training = TRAINING | {"steps": 1, "images_every": 1}
    config = tiny_config(model={"precision": precision}, training=training)
    metrics = train(config, tmp_path, progress=False)
    assert all(np.isfinite(value) for value in metrics.summary["segm"].values())
    found = events(tmp_path)
    assert math.isfinite(found["train/loss/total"][1]) and list(found["pictures/score_maps/0"]) == [1]
    assert all(variable.dtype == "float32" for variable in load_trained(tmp_path).model.variables)


def test_a_loss_that_is_no_number_stops_the_run_and_is_named(broken):
    model_dir, message = broken
    assert message.startswith("step 2: loss/roi_mask is nan") and "\n" not in message
    assert checkpoints(model_dir) == ["checkpoint-1", "checkpoint-2"]
    for variable in load_trained(model_dir).model.variables:
        assert np.isfinite(variable).all()


def values_of(checkpoint):
    """Returns every value of a checkpoint, those of the optimiser too, as bytes."""
    reader = tf.train.load_checkpoint(str(checkpoint))
    return {name: np.asarray(reader.get_tensor(name)).tobytes() for name in reader.get_variable_to_shape_map()}


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(finished, broken, tmp_path):
    expected_dir, _ = finished
    model_dir = shutil.copytree(broken[0], tmp_path / "resumed")
    metrics = train(CONFIG, model_dir, progress=False)
    assert metrics is not None and checkpoints(model_dir) == checkpoints(expected_dir)
    assert values_of(model_dir / "checkpoint-4") == values_of(expected_dir / "checkpoint-4")
    # The curves go on too.
    losses, expected_losses = (events(path)["train/loss/total"] for path in (model_dir, expected_dir))
    assert losses == expected_losses


def test_weights_moved_where_they_are_trained_only(finished):
    first, last = (tf.train.load_checkpoint(str(finished[0] / f"checkpoint-{step}")) for step in (3, 4))
    moved = defaultdict(bool)
    for key in last.get_variable_to_shape_map():
        if key.startswith("model") and "kernel" in key:
            part = re.search("conv[1-5](?=.Sblock|.Sconv)|rpn|head", key).group()
            moved[part] |= not np.array_equal(first.get_tensor(key), last.get_tensor(key))
    trained = dict.fromkeys(("conv3", "conv4", "conv5", "rpn", "head"), True)
    assert moved == trained | {"conv1": False, "conv2": False}


@pytest.mark.parametrize(
    "changes, options, message",
    [
        ({}, {"resume": False}, "holds checkpoints"),
        ({"model": {"backbone": "resnet34"}}, {}, "model.backbone is resnet34, but resnet18"),
        ({"training": {"steps": 3}}, {}, "training.steps is 3, but the network in .* for 4 steps already"),
        ({"training": {"learning_rate": {"multipliers": {"haed": 3}}}}, {}, "training.learning_rate.multipliers"),
    ],
)
def test_mistakes_are_named_and_nothing_is_written(finished, tmp_path, caplog, changes, options, message):
    model_dir = copy_of(finished[0], tmp_path)
    before = contents(model_dir)
    changes = {"training": {}, **changes}
    changes["training"] = {**TRAINING, **changes["training"]}
    config = tiny_config(model={"batch_norm": "trained", **changes.pop("model", {})}, **changes)
    with caplog.at_level(logging.INFO), pytest.raises(UserError, match=message) as error:
        train(config, model_dir, progress=False, **options)
    assert "\n" not in str(error.value) and "training in" not in caplog.text
    assert contents(model_dir) == before


def test_skipped_images_are_summed_up_when_training_is_interrupted_too(tmp_path, caplog, monkeypatch):
    class InterruptedTrainer(trainer.Trainer):
        def train(self, num_steps):
            self._skipped_images.report([-1, 3])
            raise KeyboardInterrupt

    monkeypatch.setattr(session, "Trainer", InterruptedTrainer)
    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, tmp_path, progress=False)
    assert caplog.messages[-1] == "data.train: skipped images that cannot be read (1)"


def test_a_data_service_that_cannot_be_reached_is_named_and_nothing_is_written(tmp_path):
    with pytest.raises(UserError, match="^--tf-data-service grpc://localhost:1: no dispatcher can be reached"):
        train(tiny_config(), tmp_path / "model", progress=False, data_service="grpc://localhost:1")
    assert not (tmp_path / "model").exists()


def test_classes_to_evaluate_are_those_to_train(tmp_path, monkeypatch):
    load_dataset = session.load_dataset

    def with_other_classes(data_config, split):
        source = load_dataset(data_config, split)
        if split == "eval":
            source.class_names = source.class_names[:-1]
        return source

    monkeypatch.setattr(session, "load_dataset", with_other_classes)
    with pytest.raises(UserError, match="^data.eval: has 9 classes, but data.train has 10$"):
        train(CONFIG, tmp_path / "model", progress=False)
    assert not (tmp_path / "model").exists()


def test_a_damaged_checkpoint_is_named_and_nothing_is_written(finished, tmp_path):
    model_dir = copy_of(finished[0], tmp_path)
    (path,) = model_dir.glob("checkpoint-4.data*")
    path.write_bytes(path.read_bytes()[:1000])
    before = contents(model_dir)
    longer = tiny_config(model={"batch_norm": "trained"}, training={**TRAINING, "steps": 9})
    with pytest.raises(UserError, match="checkpoint-4: damaged"):
        train(longer, model_dir, progress=False)
    assert contents(model_dir) == before


def test_a_finished_run_is_evaluated_again(finished, tmp_path, caplog):
    model_dir = copy_of(finished[0], tmp_path)
    with caplog.at_level(logging.INFO):
        metrics = train(CONFIG, model_dir, progress=False)
    assert metrics.summary["segm"] == pytest.approx(finished[1].summary["segm"], abs=1e-3)
    assert checkpoints(model_dir) == ["checkpoint-4"]
    assert f"training in {model_dir}, from step 4 to 4; watch it with: tensorboard --logdir {model_dir}" in caplog.text


def test_a_run_that_is_never_evaluated(finished, tmp_path):
    model_dir = copy_of(finished[0], tmp_path)
    (model_dir / "metrics.json").unlink()
    config = tiny_config(model={"batch_norm": "trained"}, training={**TRAINING, "evaluate_every": None})
    assert train(config, model_dir, progress=False) is None
    assert not (model_dir / "metrics.json").exists() and load_config(model_dir / "config.yaml") == config
