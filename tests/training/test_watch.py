"""Evaluation beside a training run that is played here: every wait lets the run go one act further."""

import json
import logging
import shutil
import time
from collections import defaultdict

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.util import event_pb2

from fcis_tf.checkpoints import CheckpointWriter, find_checkpoint, restore
from fcis_tf.config import save_config
from fcis_tf.data import load_dataset
from fcis_tf.errors import UserError
from fcis_tf.inference import Instances, Predictor
from fcis_tf.model_directory import describe_run
from fcis_tf.training import watch as watch_module
from fcis_tf.training.watch import watch
from tests.tiny_config import tiny_config

# Steps of the run, with the widths that its network takes a rectangle for that is 25 pixels wide, and the AP of it:
# how many of the thresholds 0.5, 0.55, ..., 0.95 its IoU reaches, 16 / 25 and 21 / 25 here.
WIDTHS = {10: 16, 20: 21, 30: 25}
AP = {10: 0.3, 20: 0.7, 30: 1.0}


class RectangleModel:
    """A stand-in for the network whose only weight is the width of what it finds in every image."""

    def __init__(self, width=0.0):
        self.width = keras.Variable(width, dtype="float32", name="width")
        self.variables = [self.width]

    def __call__(self, images, image_sizes, second_pass, training):
        return {
            "rois": tf.reshape(tf.stack([5.0, 5.0, 25.0, 5.0 + self.width.value]), [1, 1, 4]),
            "rois_valid": tf.ones([1, 1], tf.bool),
            "class_logits": tf.constant([[[0.0, 9.0]]]),
            "mask_logits": tf.tile(tf.reshape([-9.0, 9.0], [1, 1, 1, 1, 2]), [1, 1, 3, 3, 1]),
        }


class RectanglePredictor:
    """A stand-in for a Predictor of it that has nothing to compile."""

    def __init__(self, model, config):
        self._model = model

    def predict(self, image):
        right = 5 + int(self._model.width)
        masks = np.zeros((1, *image.shape[:2]), bool)
        masks[0, 5:25, 5:right] = True
        return Instances(np.float32([[5, 5, 25, right]]), np.int32([1]), np.float32([1]), masks)


@pytest.fixture(autouse=True)
def rectangle_model(monkeypatch):
    monkeypatch.setattr(watch_module, "build_model", lambda config, num_classes: RectangleModel())
    monkeypatch.setattr(watch_module, "Predictor", RectanglePredictor)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Of a data set of one image with one rectangle, for a run of 30 steps."""
    folder = tmp_path_factory.mktemp("data")
    Image.new("RGB", (50, 40)).save(folder / "0.png")
    content = {
        "images": [{"id": 0, "file_name": "0.png", "height": 40, "width": 50}],
        "annotations": [{"image_id": 0, "category_id": 1, "segmentation": [[5, 5, 30, 5, 30, 25, 5, 25]]}],
        "categories": [{"id": 1, "name": "thing"}],
    }
    (folder / "instances.json").write_text(json.dumps(content))
    dataset = {"format": "coco", "images": folder, "annotations": folder / "instances.json"}
    config = tiny_config(data={"short_side": 40, "long_side": 50}, training={"steps": 30})
    data = config.data.model_validate({**config.data.model_dump(), "train": dataset, "eval": dataset})
    return config.model_copy(update={"data": data})


@pytest.fixture(scope="module")
def source(config):
    return load_dataset(config.data, "eval")


@pytest.fixture(scope="module")
def stages(tmp_path_factory, config, source):
    """A directory for each step of the run, with the checkpoint of that step alone."""
    folder = tmp_path_factory.mktemp("stages")
    for step, width in WIDTHS.items():
        path = folder / str(step)
        describe_run(path, config, source.class_names, source.category_ids)
        variable = tf.Variable(step, dtype=tf.int64)
        with CheckpointWriter(RectangleModel(width), keras.optimizers.SGD(), variable, path, keep=1) as checkpoints:
            checkpoints.save()
    return folder


@pytest.fixture
def run(tmp_path, stages, monkeypatch):
    """Plays a training run in `run.model_dir`: `run.acts` are what happens while somebody waits for it."""

    class Run:
        model_dir = tmp_path / "runs" / "model"
        acts = []

        def reach(self, step):
            """The checkpoint of a step takes the place of the one before."""
            old = list(self.model_dir.glob("checkpoint-*"))
            shutil.copytree(stages / str(step), self.model_dir, dirs_exist_ok=True)
            for path in old:
                path.unlink()

    def wait(seconds):
        assert run.acts, "nothing more happens"
        run.acts.pop(0)()

    run = Run()
    monkeypatch.setattr(time, "sleep", wait)
    return run


def curves(model_dir):
    """Returns {tag: {step: value}} of the curves of evaluations."""
    found = defaultdict(dict)
    for path in (model_dir / "eval").glob("events.out.tfevents.*"):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = event_pb2.Event.FromString(record)
            for value in event.summary.value:
                found[value.tag][event.step] = tf.make_ndarray(value.tensor).item()
    return found


def test_a_run_is_followed_from_before_it_begins_to_its_last_step(run, config, source, monkeypatch, caplog):
    predictors = []

    class CountedPredictor(Predictor):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            predictors.append(self)

    monkeypatch.setattr(watch_module, "Predictor", CountedPredictor)
    run.acts = [
        lambda: None,
        lambda: describe_run(run.model_dir, config, source.class_names, source.category_ids),
        *(lambda step=step: run.reach(step) for step in WIDTHS),
    ]
    found = {}
    with caplog.at_level(logging.INFO):
        for step, metrics in watch(run.model_dir, config, source):
            found[step] = metrics.summary["segm"]["AP"]
            assert json.loads((run.model_dir / "metrics.json").read_text()) == {"step": step, **metrics.as_json()}
    assert not run.acts and caplog.messages[0] == f"waiting for checkpoints in {run.model_dir}"
    assert list(found) == list(WIDTHS) and found == pytest.approx(AP)
    # The tags are those of training, see test_session.py.
    names = ("AP", "AP50", "AP75", "APs", "APm", "APl")
    written = curves(run.model_dir)
    assert set(written) == {f"{kind}/{name}" for kind in ("segm", "bbox") for name in names}
    assert all(list(points) == list(WIDTHS) for points in written.values())
    assert written["segm/AP"] == written["bbox/AP"] == pytest.approx(AP)
    assert written["segm/AP75"] == pytest.approx({10: 0, 20: 1, 30: 1})
    (predictor,) = predictors
    assert predictor._predict.experimental_get_tracing_count() == 1


def test_the_newest_is_next_where_evaluation_lags_behind(run, config, source):
    run.reach(10)
    found = watch(run.model_dir, config, source)
    assert next(found)[0] == 10
    run.reach(20)
    run.reach(30)
    assert [step for step, _ in found] == [30]


def test_a_checkpoint_that_cannot_be_read_is_left_out_with_a_warning(run, config, source, monkeypatch, caplog):
    """Of two checkpoints the first is cut off and the second is removed while it is read."""
    copy_checkpoint = watch_module.copy_checkpoint

    def remove_and_copy(step, *arguments):
        if step == 20:
            (run.model_dir / "checkpoint-20.index").unlink()
        copy_checkpoint(step, *arguments)

    def cut_off():
        run.reach(10)
        (part,) = run.model_dir.glob("checkpoint-10.data*")
        part.write_bytes(part.read_bytes()[:1])

    monkeypatch.setattr(watch_module, "copy_checkpoint", remove_and_copy)
    run.acts = [cut_off, lambda: run.reach(20), lambda: run.reach(30)]
    with caplog.at_level(logging.WARNING):
        ((step, metrics),) = watch(run.model_dir, config, source)
    assert step == 30 and metrics.summary["segm"]["AP"] == pytest.approx(1)
    assert list(curves(run.model_dir)["segm/AP"]) == [30]
    cut_off, removed = (record.message for record in caplog.records if record.name == watch_module.__name__)
    assert cut_off.startswith(f"skipped {run.model_dir / 'checkpoint-10'}: ") and "\n" not in cut_off
    assert removed == f"skipped {run.model_dir / 'checkpoint-20'}: training has removed it"


def test_the_best_is_kept_though_training_has_removed_it_meanwhile(run, config, source, monkeypatch):
    """The network of step 20 is the best here; it is evaluated while training comes to its end."""

    class SlowPredictor(RectanglePredictor):
        def predict(self, image):
            found = super().predict(image)
            if self._model.width == WIDTHS[20]:
                run.reach(30)
            return found._replace(masks=found.masks & (self._model.width < WIDTHS[30]).numpy())

    monkeypatch.setattr(watch_module, "Predictor", SlowPredictor)
    run.acts = [lambda: run.reach(10), lambda: run.reach(20)]
    assert [step for step, _ in watch(run.model_dir, config, source)] == [10, 20, 30]
    best_dir = run.model_dir / "best"
    assert json.loads((best_dir / "metrics.json").read_text())["step"] == 20
    network = RectangleModel()
    step = tf.Variable(0, dtype=tf.int64)
    restore(find_checkpoint(best_dir), network, step)
    assert (network.width.numpy(), step.numpy()) == (WIDTHS[20], 20)
    assert (best_dir / "config.yaml").read_text() == (run.model_dir / "config.yaml").read_text()
    # What was held for the evaluations takes no space in the end.
    assert sorted(path.name for path in run.model_dir.iterdir() if path.is_dir()) == ["best", "eval"]


def test_a_run_that_is_resumed_for_longer_is_followed_further(run, config, source):
    run.reach(30)
    found = watch(run.model_dir, config, source, timeout=2)
    assert next(found)[0] == 30
    longer = config.model_copy(update={"training": config.training.model_copy(update={"steps": 31})})
    save_config(longer, run.model_dir / "config.yaml")
    run.acts = [lambda: None] * 10
    clock = iter(np.arange(1e3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: next(clock))
        assert list(found) == []


def test_mistakes_are_named(run, config, source):
    run.acts = [lambda: None] * 10
    with pytest.raises(UserError, match=f"^--model-dir {run.model_dir}: no checkpoint .* for 0.1 seconds$"):
        next(watch(run.model_dir, config, source, timeout=0.1))
    run.reach(10)
    other = config.model_copy(update={"model": config.model.model_copy(update={"backbone": "resnet34"})})
    with pytest.raises(UserError, match="^model.backbone is resnet34, but resnet18 in the network in"):
        next(watch(run.model_dir, other, source))
    (run.model_dir / "classes.json").write_text(json.dumps({"names": ["thing", "cat"], "category_ids": [1, 2]}))
    with pytest.raises(UserError, match="^data.eval: has 1 classes, but the network in .* has 2$"):
        next(watch(run.model_dir, config, source))
