"""The estimate of a training step's memory, against what steps were measured to take."""

import logging

import pytest

from fcis_tf.training import memory_estimate
from fcis_tf.training.memory_estimate import (
    MemoryEstimate,
    describe,
    describe_shortage,
    estimate_memory,
    largest_image,
    log_memory_estimate,
)
from tests.tiny_config import tiny_config

GB = 10**9


def config_of(data=None, **model):
    """The defaults, the paper's, but for some keys."""
    paper = {"head_channels": 1024, "rpn_channels": 512, "group_size": 7, "pooled_size": 21}
    scales = {"anchor_scales": [4, 8, 16, 32], "proposals": {"before_nms": 6000, "after_nms": 300}}
    return tiny_config(model={**paper, **scales, **model}, data=data or {})


@pytest.mark.parametrize(
    ("data", "size"),
    [
        ({"short_side": 600, "long_side": 1000}, (608, 1008)),
        ({"short_side": 320, "long_side": 512}, (320, 512)),
        # What is smaller is not cropped, what is larger is.
        ({"short_side": 600, "long_side": 1000, "train_scales": [480, 576]}, (576, 960)),
        ({"short_side": 600, "long_side": 1000, "train_scales": [600, 1200], "crop_size": 800}, (800, 800)),
        ({"short_side": 600, "long_side": 1000, "train_scales": [480, 700], "crop_size": 1024}, (704, 1024)),
    ],
)
def test_the_largest_image(data, size):
    assert largest_image(tiny_config(data=data).data) == size


# Bytes that `python -m benchmarks.training_memory` measured, without and with rematerialisation.
MEASURED = [
    (
        {"backbone": "resnet18", "batch_norm": "trained", "frozen_stages": []},
        {"short_side": 592, "long_side": 992},
        (20, 1),
        (601_849_600, 392_335_360),
    ),
    (
        {"backbone": "resnet50", "batch_norm": "frozen", "precision": "mixed_bfloat16"},
        {"short_side": 320, "long_side": 512},
        (80, 2),
        (716_002_048, 673_447_936),
    ),
]


@pytest.fixture(scope="module", params=MEASURED, ids=["resnet18", "resnet50"])
def case(request):
    """A case of MEASURED and the two estimates for it."""
    model, data, classes_and_images, _ = request.param
    return request.param, estimate_memory(config_of(data, **model), *classes_and_images)


def test_is_near_what_was_measured(case):
    (*_, measured), estimates = case
    for estimate, peak in zip(estimates, measured, strict=True):
        assert estimate.peak == pytest.approx(peak, rel=0.25)
        assert estimate.momentum == pytest.approx(estimate.weights, rel=0.01)


def test_accumulation_adds_the_gradients_and_the_switch_gives_what_is_foretold():
    model, data, classes_and_images, (_, measured) = MEASURED[0]
    config = config_of(data, **model, rematerialize=True)
    estimate, same = estimate_memory(config, *classes_and_images, accumulation_steps=2)
    assert estimate == same
    assert estimate.peak == pytest.approx(measured + estimate.momentum, rel=0.05)


def test_is_told_in_a_line():
    estimate = MemoryEstimate(weights=2 * GB, momentum=GB, gradients=GB // 2, activations=3 * GB, workspace=GB // 4)
    less = MemoryEstimate(weights=2 * GB, activations=GB)
    size = {"short_side": 600, "long_side": 1000}
    line = describe(estimate, less, tiny_config(data=size), 2)
    assert line == (
        "memory: about 6.8 GB a device for 2 images of 608 x 1008: weights 2.00, momentum 1.00, gradients 0.50, "
        "activations 3.00, workspace 0.25; model.rematerialize=true would make it 3.0"
    )
    line = describe(less, less, tiny_config(data=size, model={"rematerialize": True}), 1)
    assert line == "memory: about 3.0 GB a device for 1 image of 608 x 1008: weights 2.00, activations 1.00"


def test_a_shortage_says_what_helps():
    estimate = MemoryEstimate(weights=2 * GB, activations=3 * GB)
    assert describe_shortage(estimate, None) is None and describe_shortage(estimate, 5 * GB) is None
    line = describe_shortage(estimate, 9 * GB // 2)
    assert line.startswith("memory: training needs about 5.0 GB, but 4.5 GB are free; ")
    for key in ("model.rematerialize", "training.accumulation_steps", "model.precision", "data.short_side"):
        assert key in line


def test_warns_when_there_is_not_enough(monkeypatch, caplog):
    estimate = MemoryEstimate(weights=GB, activations=3 * GB)
    monkeypatch.setattr(memory_estimate, "estimate_memory", lambda *arguments: (estimate, estimate))
    monkeypatch.setattr(memory_estimate, "free_memory", lambda: GB)
    with caplog.at_level(logging.INFO):
        log_memory_estimate(tiny_config(), 3, 1)
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]


def test_this_machine_has_some_free_memory():
    assert 2**20 < memory_estimate.free_memory() < 2**50
