"""The inner loop of training, with a network of one weight."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from fcis_tf.config import TrainingConfig
from fcis_tf.errors import UserError
from fcis_tf.training import trainer
from fcis_tf.training.optimizer import Optimizer

LEARNING_RATE = {"values": [0.5], "boundaries": [], "multipliers": {}}
CONFIG = TrainingConfig.model_validate(
    {"images_per_step": 2, "weight_decay": 0, "momentum": 0, "learning_rate": LEARNING_RATE}
)


class OneWeight:
    def __init__(self):
        self.weight = keras.Variable(1.0, name="weight")
        self.trainable_variables = [self.weight]

    def propose(self, images, image_sizes, training):
        assert training
        return {"answer": self.weight * images}


class Bar:
    steps, text = 0, ""

    def update(self):
        self.steps += 1

    def set_postfix_str(self, text):
        self.text = text


class Skipped:
    def __init__(self):
        self.reports = []

    def report(self, indices):
        self.reports.append(indices.tolist())


def train(monkeypatch, inputs, loss, steps, first_step=0, stop=lambda: False):
    """Runs steps on images of one number each, two a step; returns the means and what counts them."""
    monkeypatch.setattr(trainer, "JointLoss", lambda model, config: loss)
    model = OneWeight()
    batches = tf.data.Dataset.from_tensor_slices(np.float32(inputs).reshape(-1, 2))
    other = {"image_sizes": tf.zeros([2, 2], tf.int32), "skipped": tf.constant([-1, 7], tf.int64)}
    batches = batches.map(lambda images: {"images": images, **other})
    step, bar, skipped = tf.Variable(first_step, dtype=tf.int64), Bar(), Skipped()
    optimizer = Optimizer(CONFIG, model.trainable_variables)
    loop = trainer.Trainer(model, optimizer, batches, CONFIG, step, bar, skipped, stop)
    means = loop.train(tf.constant(steps))
    weight = float(model.weight.numpy())
    reports = skipped.reports
    return SimpleNamespace(
        means=means, step=int(step.numpy()), bar=bar, weight=weight, skipped=reports, stopped=loop.stopped
    )


def linear_loss(maps, batch):
    losses = {"first": maps["answer"], "second": 3 * maps["answer"]}
    return losses, {"known": tf.stack([tf.reduce_sum(batch["images"]), 2.0]), "unknown": tf.zeros([2])}


def test_returns_the_means_of_its_steps(monkeypatch):
    result = train(monkeypatch, [0.1, 0.3, 0.5, 0.7], linear_loss, steps=2)
    # A step's loss is the mean over its images: first the weight is 1, then 1 - 0.5 * 4 * 0.2.
    first, second = 1 * 0.2, 0.6 * 0.6
    means = result.means
    expected = {"first": (first + second) / 2, "second": 3 * (first + second) / 2, "total": 2 * (first + second)}
    for term, value in expected.items():
        assert means[f"loss/{term}"] == pytest.approx(value)
    assert means["gradient_norm"] == pytest.approx((4 * 0.2 + 4 * 0.6) / 2)
    assert means["accuracy/known"] == pytest.approx(1.6 / 4) and np.isnan(means["accuracy/unknown"])
    assert means["learning_rate"] == 0.5 and means["images_per_second"] > 0
    assert result.weight == pytest.approx(0.6 - 0.5 * 4 * 0.6)
    assert result.skipped == [[-1, 7]] * 2
    assert result.step == result.bar.steps == 2 and "loss 1.120" in result.bar.text


@pytest.mark.parametrize("value, text", [(np.nan, "nan"), (np.inf, "inf")])
def test_a_loss_that_is_not_finite_is_named(monkeypatch, value, text):
    def loss(maps, batch):
        return {"fine": maps["answer"], "rough": maps["answer"] * 1.0}, {}

    def rough(maps, batch):
        losses, accuracies = loss(maps, batch)
        bad = tf.reduce_any(batch["images"] > 8)
        return losses | {"rough": tf.where(bad, value, losses["rough"])}, accuracies

    with pytest.raises(UserError, match=f"^step 11: loss/rough is {text};.*training.learning_rate"):
        train(monkeypatch, [1, 1, 1, 9, 1, 1], rough, steps=3, first_step=10)


def test_a_gradient_that_is_not_finite_is_named_with_the_losses(monkeypatch):
    def steep(maps, batch):
        return {"flat": maps["answer"], "steep": tf.sqrt(maps["answer"] - maps["answer"])}, {}

    with pytest.raises(UserError) as error:
        train(monkeypatch, [1, 1], steep, steps=1)
    losses = "loss/flat 1, loss/steep 0, loss/total 1"
    expected = f"step 0: the gradient's norm is nan, though the losses are finite ({losses}); training stops"
    assert str(error.value).startswith(expected)
    assert "A lower training.learning_rate" in str(error.value) and "\n" not in str(error.value)


def test_stops_after_the_step_in_which_it_is_asked_to(monkeypatch):
    answers = iter([False, True])
    result = train(monkeypatch, [0.25, 0.75, -0.25, 0.5, 1, 1], linear_loss, 3, stop=lambda: next(answers))
    assert result.stopped and result.step == 2 == result.bar.steps
    expected = train(monkeypatch, [0.25, 0.75, -0.25, 0.5], linear_loss, 2)
    assert not expected.stopped and result.weight == expected.weight
    assert result.means["loss/total"] == expected.means["loss/total"]
