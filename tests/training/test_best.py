"""The best network of a run."""

import json
import os

import pytest

from fcis_tf.checkpoints import find_checkpoint
from fcis_tf.config import load_config
from fcis_tf.model_directory import describe_run
from fcis_tf.training.best import keep_if_best
from tests.test_checkpoints import Run, save, steps_of
from tests.tiny_config import tiny_config

CONFIG = tiny_config()


def metrics(mask_ap, box_ap=0.5):
    return {"segm": {"AP": mask_ap}, "bbox": {"AP": box_ap}}


def evaluated(model_dir, step, mask_ap):
    return keep_if_best(model_dir, step, metrics(mask_ap))


def holds(model_dir, step, mask_ap):
    best_dir = model_dir / "best"
    assert load_config(best_dir / "config.yaml") == CONFIG
    assert json.loads((best_dir / "classes.json").read_text())["names"] == ["cat", "dog"]
    assert Run().restore(find_checkpoint(best_dir)) == {float(step)} and steps_of(best_dir) == [step]
    return json.loads((best_dir / "metrics.json").read_text()) == metrics(mask_ap)


@pytest.fixture
def model_dir(tmp_path):
    describe_run(tmp_path, CONFIG, ["cat", "dog"], [17, 18])
    save(tmp_path, [5, 6, 7])
    return tmp_path


def test_only_a_better_one_replaces_it(model_dir):
    assert evaluated(model_dir, 5, 0.25) and holds(model_dir, 5, 0.25)
    for worse in (0.25, 0.2, -1.0):
        assert not evaluated(model_dir, 6, worse) and holds(model_dir, 5, 0.25)
    assert evaluated(model_dir, 7, 0.26) and holds(model_dir, 7, 0.26)


def test_it_outlives_the_checkpoints_of_the_run(model_dir):
    assert evaluated(model_dir, 5, 0.25)
    save(model_dir, [8, 9], keep=1)
    assert steps_of(model_dir) == [9] and holds(model_dir, 5, 0.25)


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"segm": {"AP": "x"}}'])
def test_one_of_which_nobody_knows_how_good_it_is_is_replaced(model_dir, content):
    assert evaluated(model_dir, 5, 0.25)
    (model_dir / "best" / "metrics.json").unlink()
    if content is not None:
        (model_dir / "best" / "metrics.json").write_text(content)
    assert evaluated(model_dir, 6, 0.1) and holds(model_dir, 6, 0.1)


def test_metrics_without_a_network_are_replaced(model_dir):
    assert evaluated(model_dir, 5, 0.25)
    (model_dir / "best" / "checkpoint-5.index").unlink()
    assert evaluated(model_dir, 6, 0.1) and holds(model_dir, 6, 0.1)


@pytest.mark.parametrize("renames", range(6))
def test_wherever_it_is_cut_off_there_is_a_whole_network_and_the_next_evaluation_mends_it(
    model_dir, monkeypatch, renames
):
    """The six renames: of two files that describe it, of its data and its index, of its state, of its metrics."""
    assert evaluated(model_dir, 5, 0.25)
    replace, done = os.replace, []

    def killed(*arguments):
        if len(done) == renames:
            raise KeyboardInterrupt
        done.append(arguments)
        replace(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            evaluated(model_dir, 6, 0.3)
    (number,) = Run().restore(find_checkpoint(model_dir / "best"))
    assert number == (5 if renames < 5 else 6)
    assert evaluated(model_dir, 6, 0.3) and holds(model_dir, 6, 0.3)
