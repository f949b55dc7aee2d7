"""The joint loss, by hand and through the whole network."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from fcis_tf.losses import JointLoss
from fcis_tf.models import FCIS
from tests.losses.ground_truth import slow_offsets
from tests.tiny_config import tiny_config

CLASSES, P = 3, 9
TERMS = ("rpn_class", "rpn_box", "roi_class", "roi_mask", "roi_box")
ANCHORS = np.float32([[1, 0, 31, 30], [4, 4, 36, 36], [60, 60, 90, 90], [40, 0, 60, 30]])
PROPOSALS = np.float32([[[2, 0, 32, 30], [60, 60, 90, 90], [0, 50, 30, 70], [0, 0, 0, 0]]])
# Which part of the bins of the instance's two RoIs, itself and the first proposal, is inside it: the centres of 4 of 9
# columns, and of 9 and 8 of 9 rows.
INSIDE = 4 / 9, 4 / 9 * 8 / 9
VALID = np.array([[True, True, True, False]])


class ModelOfLogits:
    """A stand-in for FCIS, which answers every RoI with the same logits."""

    box_target_stds = (0.2, 0.2, 0.5, 0.5)
    head = SimpleNamespace(mask_size=P)

    def __init__(self, class_logits=(0.0,) * (CLASSES + 1), mask_logits=(0.0, 0.0)):
        self.class_logits, self.mask_logits = tf.constant(class_logits), tf.constant(mask_logits)

    def assemble(self, maps, rois, labels, training):
        self.rois, self.labels = rois.numpy(), labels.numpy()
        shape = tf.shape(rois)[:2]
        return {
            "class_logits": tf.tile(self.class_logits[None, None], [*shape, 1]),
            "mask_logits": tf.tile(self.mask_logits[None, None, None, None], [*shape, P, P, 1]),
            "box_offsets": tf.zeros([*shape, 4]),
        }


def make_maps(images=1):
    return {
        "anchors": tf.constant(ANCHORS),
        "rpn_logits": tf.zeros([images, len(ANCHORS), 2]),
        "rpn_offsets": tf.zeros([images, len(ANCHORS), 4]),
        "proposals": tf.constant(np.repeat(PROPOSALS, images, axis=0)),
        "proposals_valid": tf.constant(np.repeat(VALID, images, axis=0)),
    }


def make_batch(classes=(2, 0)):
    """One image with a square of class 2 of 30 x 30 pixels in its corner, full but for its right half."""
    masks = np.zeros([1, 2, 10, 10], np.uint8)
    masks[0, 0, :, :5] = 1
    return {
        "image_sizes": np.int32([[100, 100]]),
        "boxes": np.float32([[[0, 0, 30, 30], [0, 0, 0, 0]]]),
        "classes": np.int32([classes]),
        "is_crowd": np.zeros([1, 2], bool),
        "masks": masks,
        "positions": np.int64([0]),
    }


def compute(model=None, maps=None, batch=None, **training):
    config = tiny_config(training=training).training
    losses, accuracies = JointLoss(model or ModelOfLogits(), config)(maps or make_maps(), batch or make_batch())
    fractions = {name: float(correct / among) for name, (correct, among) in accuracies.items()}
    return {k: v.numpy() for k, v in losses.items()}, fractions


def smooth_l1(error, sigma=1.0):
    error = np.abs(error)
    return np.where(error < 1 / sigma**2, 0.5 * sigma**2 * error**2, error - 0.5 / sigma**2).sum()


@pytest.mark.parametrize("selection", ["ohem", "sampled"])
def test_a_network_that_knows_nothing(selection):
    losses, accuracies = compute(roi_targets={"selection": selection, "rois_per_image": 8})
    assert tuple(losses) == TERMS and all(loss.shape == (1,) for loss in losses.values())
    assert losses["rpn_class"] == pytest.approx(np.log(2))
    assert losses["roi_class"] == pytest.approx(np.log(CLASSES + 1))
    assert losses["roi_mask"] == pytest.approx(np.log(2))
    # The first anchor is foreground, the second neither, the others background.
    error = smooth_l1(np.array(slow_offsets([0, 0, 30, 30], ANCHORS[0])), sigma=3)
    assert losses["rpn_box"] == pytest.approx(error / 3, abs=1e-6)
    # Of the RoIs (two near and in the instance, two background) one has something to move.
    error = smooth_l1(np.array(slow_offsets([0, 0, 30, 30], PROPOSALS[0, 0])) / ModelOfLogits.box_target_stds)
    assert losses["roi_box"] == pytest.approx(error / 4, rel=1e-5)
    assert accuracies["rpn"] == pytest.approx(2 / 3) and accuracies["rpn_foreground"] == 0
    assert accuracies["roi"] == pytest.approx(2 / 4) and accuracies["roi_foreground"] == 0
    assert accuracies["mask_pixels"] == pytest.approx(1 - np.mean(INSIDE))


def test_known_logits():
    class_logits, mask_logits = (0.0, 1.0, 3.0, 0.0), (1.0, 2.0)
    losses, accuracies = compute(ModelOfLogits(class_logits, mask_logits))
    normalizer = np.log(np.exp(class_logits).sum())
    # Two RoIs of class 2 and two of the background.
    assert losses["roi_class"] == pytest.approx(normalizer - (3 + 0) / 2, rel=1e-5)
    assert accuracies["roi_foreground"] == 1 and accuracies["roi"] == pytest.approx(0.5)
    right, wrong = np.log1p(np.exp(-1)), np.log1p(np.exp(1))
    expected = np.mean([inside * right + (1 - inside) * wrong for inside in INSIDE])
    assert losses["roi_mask"] == pytest.approx(expected, rel=1e-5)
    assert accuracies["mask_pixels"] == pytest.approx(np.mean(INSIDE))


def test_masks_are_asked_of_each_rois_own_class():
    model = ModelOfLogits()
    compute(model, roi_targets={"selection": "ohem"})
    # The proposals, the instance and the padding; the class of those that do not count has no meaning.
    np.testing.assert_array_equal(model.rois, np.concatenate([PROPOSALS, make_batch()["boxes"]], axis=1))
    assert model.labels[0, [0, 1, 2, 4]].tolist() == [2, 0, 0, 2]


@pytest.mark.parametrize("wanted", [1, 2, 3])
def test_hard_examples_alone_are_learned_from(wanted):
    # For the background the classes are easy, for the instance's RoIs hard.
    model = ModelOfLogits(class_logits=(2.0, 0.0, 0.0, 0.0))
    losses, _ = compute(model, roi_targets={"selection": "ohem", "rois_per_image": wanted})
    normalizer = np.log(np.exp(2) + 3)
    hard, easy = normalizer, normalizer - 2
    assert losses["roi_class"] == pytest.approx(np.mean([hard, hard, easy][:wanted]), rel=1e-5)


def test_weights_multiply_the_terms():
    plain, _ = compute()
    weights = dict(zip(TERMS, (2, 3, 5, 10, 0), strict=True))
    weighted, _ = compute(loss_weights=weights)
    for term in TERMS:
        assert weighted[term] == pytest.approx(weights[term] * plain[term])


def test_an_image_weighs_the_same_in_every_batch():
    alone, _ = compute()
    pair = {name: np.repeat(values, 2, axis=0) for name, values in make_batch().items()}
    pair["classes"][1] = 0
    both, _ = compute(maps=make_maps(2), batch=pair)
    for term in TERMS:
        assert both[term].shape == (2,) and both[term][0] == pytest.approx(alone[term][0])


@pytest.mark.parametrize("selection", ["ohem", "sampled"])
@pytest.mark.parametrize("instances", [0, 2])
def test_an_image_without_instances_teaches_the_background_only(selection, instances):
    batch = {name: values[:, :instances] if values.ndim > 1 else values for name, values in make_batch((0, 0)).items()}
    batch["image_sizes"] = make_batch()["image_sizes"]
    losses, _ = compute(batch=batch, roi_targets={"selection": selection, "rois_per_image": 8})
    assert losses["rpn_class"] == pytest.approx(np.log(2))
    assert losses["roi_class"] == pytest.approx(np.log(CLASSES + 1))
    assert losses["rpn_box"] == losses["roi_mask"] == losses["roi_box"] == 0


def test_a_crowd_alone_teaches_nothing_where_it_is():
    batch = make_batch() | {"is_crowd": np.array([[True, False]])}
    model = ModelOfLogits(class_logits=(2.0, 0.0, 0.0, 0.0))
    losses, accuracies = compute(model, batch=batch)
    assert losses["roi_mask"] == losses["roi_box"] == losses["rpn_box"] == 0
    assert losses["roi_class"] == pytest.approx(np.log(np.exp(2) + 3) - 2, rel=1e-5)
    assert np.isnan(accuracies["roi_foreground"])


# Through the network


@pytest.fixture(scope="module", params=["ohem", "sampled"])
def differentiated(request):
    """A network with the gradients of all terms, and of those of the RoIs alone."""
    keras.utils.set_random_seed(0)
    config = tiny_config(model={"batch_norm": "trained"}, training={"roi_targets": {"selection": request.param}})
    model = FCIS(config.model, CLASSES)
    rng = np.random.default_rng(0)
    images = rng.normal(0, 60, (2, 64, 96, 3)).astype(np.float32)
    batch = {
        "image_sizes": np.int32([[64, 96], [60, 80]]),
        "boxes": np.float32([[[3, 5, 30, 40], [20, 50, 60, 90]], [[10, 10, 50, 50], [0, 0, 0, 0]]]),
        "classes": np.int32([[1, 3], [2, 0]]),
        "is_crowd": np.zeros([2, 2], bool),
        "masks": (rng.uniform(size=(2, 2, 28, 28)) < 0.5).astype(np.uint8),
        "positions": np.int64([0, 1]),
    }
    with tf.GradientTape(persistent=True) as tape:
        maps = model.propose(images, batch["image_sizes"], training=True)
        losses, _ = JointLoss(model, config.training)(maps, batch)
        total = tf.add_n([tf.reduce_sum(loss) for loss in losses.values()])
        of_rois = tf.add_n([tf.reduce_sum(losses[term]) for term in TERMS if term.startswith("roi")])
    return model, tape, total, of_rois


def test_gradients_reach_all_that_is_trained_and_nothing_frozen(differentiated):
    model, tape, total, _ = differentiated
    gradients = tape.gradient(total, model.trainable_variables)
    without = [
        variable.path
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True)
        if gradient is None or not np.abs(gradient).max() > 0
    ]
    assert not without
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    paths = [variable.path for variable in model.trainable_variables]
    for part in ("backbone/conv3", "backbone/conv4", "backbone/conv5", "rpn/conv", "rpn/logits", "rpn/offsets"):
        assert any(part in path for path in paths), part
    for part in ("head/reduce", "head/score_maps", "head/box_maps"):
        assert any(part in path for path in paths), part
    for part in ("backbone/conv1", "backbone/conv2"):
        assert not any(part in path for path in paths), part


def test_the_losses_of_rois_do_not_move_the_proposals(differentiated):
    model, tape, _, of_rois = differentiated
    assert tape.gradient(of_rois, model.rpn.trainable_variables) == [None] * 6
