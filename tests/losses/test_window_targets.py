"""Which windows InstanceFCN learns from, beside a slow reading of the rule, and its loss by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fcis_tf.config import RpnTargetConfig
from fcis_tf.losses import InstanceFCNLoss
from fcis_tf.losses.random_subset import image_seeds
from fcis_tf.losses.window_targets import window_targets
from fcis_tf.models.anchors import make_anchors
from tests.tiny_config import tiny_config

SIDE, STRIDE = 112.0, 16
SIZE = 128, 160
WINDOWS = make_anchors(8, 10, [SIDE / STRIDE], [1.0], STRIDE).numpy()
ALL = RpnTargetConfig(anchors_per_image=400, foreground_fraction=0.5)


def batch_of(boxes, classes=None, is_crowd=None, size=SIZE):
    boxes = np.float32(boxes).reshape(-1, 4)
    classes = np.ones(len(boxes), np.int32) if classes is None else np.int32(classes)
    is_crowd = np.zeros(len(boxes), bool) if is_crowd is None else np.array(is_crowd)
    batch = {"image_sizes": np.int32(size), "boxes": boxes, "classes": classes, "is_crowd": is_crowd}
    return {name: values[None] for name, values in batch.items()}


def targets(batch, config=ALL):
    labels, matched = window_targets(WINDOWS, batch, STRIDE, config, image_seeds(0, tf.constant([0], tf.int64)))
    return labels[0].numpy(), matched[0].numpy()


def slow_labels(boxes):
    """DeepMask's rule: an object of 4 / 7 of the window, give or take a factor, in the middle of it."""
    labels, matches = [], []
    for window in WINDOWS:
        worst = []
        for box in boxes:
            shifts = [abs((window[i] + window[i + 2]) - (box[i] + box[i + 2])) / 2 for i in (0, 1)]
            longer = max(box[2] - box[0], box[3] - box[1])
            scale = abs(math.log(longer / (SIDE * 4 / 7), 1.5))
            worst.append(max(max(shifts) / 8, scale / 0.5))
        best = min(worst, default=math.inf)
        labels.append(1 if best <= 1 else 0 if best > 2 else -1)
        matches.append(worst.index(best) if worst else 0)
    return labels, matches


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.floats(0, 130), st.floats(20, 130), st.floats(20, 130)), min_size=1, max_size=4
    )
)
def test_labels_by_a_slow_reading(objects):
    # Numbers that float32 holds, none of which is at a limit.
    boxes = [[y + 0.03, x + 0.03, y + h + 0.11, x + w + 0.11] for y, x, h, w in np.round(objects, 1)]
    labels, matched = targets(batch_of(boxes))
    expected, matches = slow_labels(boxes)
    np.testing.assert_array_equal(labels, expected)
    positive = np.array(expected) == 1
    np.testing.assert_array_equal(matched[positive], np.array(matches)[positive])


def test_objects_of_the_wanted_size_have_a_window_wherever_they_are():
    """Also where they touch the image's edge, and the window reaches beyond it."""
    for y, x in ((0, 0), (3, 91), (64, 96), (37, 51)):
        labels, _ = targets(batch_of([[y, x, y + 64, x + 40]]))
        assert (labels == 1).sum() >= 1


def test_padding_and_crowds():
    boxes = [[10, 10, 74, 60], [0, 0, 128, 160]]
    labels, _ = targets(batch_of(boxes, classes=[0, 0]))
    assert (labels == 0).all()
    labels, _ = targets(batch_of(boxes, classes=[0, 1], is_crowd=[False, True]))
    # Windows with more than half of their area in the crowd are not negative.
    limits = np.array(SIZE)
    inside = np.prod(np.minimum(WINDOWS[:, 2:], limits) - np.maximum(WINDOWS[:, :2], 0), axis=1)
    np.testing.assert_array_equal(labels, np.where(inside > SIDE**2 / 2, -1, 0))


def test_windows_around_padding_are_not_negative():
    """Of a smaller image in a batch; an object at its edge still has its positive windows, wherever their centres."""
    labels, _ = targets(batch_of([[30, 40, 94, 100]], size=(95, 130)))
    in_image = np.all((WINDOWS[:, :2] + WINDOWS[:, 2:]) / 2 < (95, 130), axis=1)
    whole, _ = targets(batch_of([[30, 40, 94, 100]]))
    np.testing.assert_array_equal(labels, np.where(in_image | (whole == 1), whole, -1))
    assert (labels == 1).any() and (labels == -1).sum() > (whole == -1).sum()


def test_draws_as_many_as_asked_for():
    labels, _ = targets(batch_of([[10, 10, 74, 60], [50, 80, 120, 130]]), RpnTargetConfig(anchors_per_image=10))
    assert (labels == 1).sum() <= 5 and (labels >= 0).sum() == 10


class ModelOfLogits:
    mask_size = 4

    def __init__(self, mask_logit):
        self.mask_logit = mask_logit

    def assemble(self, maps, windows):
        self.windows = windows.numpy()
        return tf.fill([*tf.shape(windows)[:2], 4, 4], self.mask_logit)


def test_loss_by_hand():
    """An object that fills the upper half of its box, the box the middle of one window."""
    window = WINDOWS[33]
    batch = batch_of([[window[0] + 28, window[1] + 28, window[2] - 28, window[3] - 28]])
    masks = np.zeros([1, 1, 28, 28], np.uint8)
    masks[..., :14, :] = 1
    batch |= {"masks": masks, "positions": np.int64([5])}
    config = tiny_config(training={"loss_weights": {"rpn_class": 2, "roi_mask": 3}}).training
    logits = np.full([1, len(WINDOWS)], -1.0, np.float32)
    logits[0, 33] = 2.0
    maps = {"objectness_logits": tf.constant(logits), "windows": tf.constant(WINDOWS)}
    model = ModelOfLogits(0.5)
    losses, accuracies = InstanceFCNLoss(model, config)(maps, batch)
    # 32 windows are drawn; of 4 x 4 cells of the window the object covers the two of the middle in the second row.
    expected = 2 * (31 * math.log1p(math.exp(-1)) + math.log1p(math.exp(-2))) / 32
    np.testing.assert_allclose(losses["objectness"], [expected], rtol=1e-5)
    expected = 3 * (14 * math.log1p(math.exp(0.5)) + 2 * math.log1p(math.exp(-0.5))) / 16
    np.testing.assert_allclose(losses["mask"], [expected], rtol=1e-5)
    np.testing.assert_array_equal(model.windows[0, 0], window)
    fractions = {name: tuple(counts.numpy()) for name, counts in accuracies.items()}
    assert fractions == {"objectness": (32, 32), "objectness_foreground": (1, 1), "mask_pixels": (2, 16)}


@pytest.mark.parametrize("classes", [[0], [1]])
def test_loss_of_images_without_a_positive_window_is_finite(classes):
    batch = batch_of([[0, 0, 5, 5]], classes=classes)
    batch |= {"masks": np.ones([1, 1, 28, 28], np.uint8), "positions": np.int64([5])}
    maps = {"objectness_logits": tf.zeros([1, len(WINDOWS)]), "windows": tf.constant(WINDOWS)}
    losses, _ = InstanceFCNLoss(ModelOfLogits(0.5), tiny_config().training)(maps, batch)
    assert losses["mask"] == 0.0 and losses["objectness"] > 0.0
