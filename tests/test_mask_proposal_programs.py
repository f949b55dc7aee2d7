"""InstanceFCN and R-FCN with all programs: trained apart, used together."""

import json
import math

import numpy as np
import pytest
import yaml
from PIL import Image

from fcis_tf.training import train
from tests.tiny_config import tiny_config, tiny_values

NETWORK = {"batch_norm": "trained", "frozen_stages": []}
PYRAMID = {"data": {"train_scales": [48, 80], "crop_size": 64}, "inference": {"test_scales": [48, 80]}}
TRAINING = {"steps": 3, "log_every": 1, "learning_rate": {"values": [1e-3], "boundaries": [], "multipliers": {}}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a configuration for R-FCN, and the model directories of both networks after three steps."""
    folder = tmp_path_factory.mktemp("networks")
    rfcn = {"model": {**NETWORK, "head": "rfcn"}, "training": TRAINING, "inference": {"score_threshold": 0.0}}
    (folder / "rfcn.yaml").write_text(yaml.safe_dump(tiny_values(**rfcn)))
    assert train(tiny_config(**rfcn), folder / "rfcn", progress=False) is None
    model = {**NETWORK, "head": "instance_fcn", "window": 48}
    proposer = tiny_config(model=model, training=TRAINING, **PYRAMID)
    assert train(proposer, folder / "proposer", progress=False) is None
    return folder


def test_training_leaves_a_network_and_no_metrics(folder):
    for name in ("rfcn", "proposer"):
        assert (folder / name / "checkpoint-3.index").exists() and not (folder / name / "metrics.json").exists()


def test_evaluate_takes_both(folder, run, capsys):
    arguments = ["--config", folder / "rfcn.yaml", "--model-dir", folder / "rfcn"]
    assert run("evaluate.py", *arguments, "--mask-proposals", folder / "proposer") == 0
    assert f"{folder / 'rfcn'}, step 3, and {folder / 'proposer'}, step 3" in capsys.readouterr().out
    metrics = json.loads((folder / "rfcn/metrics.json").read_text())
    assert all(math.isfinite(metrics[kind]["AP"]) for kind in ("segm", "bbox"))

    assert run("evaluate.py", *arguments) == 2
    assert "which has no masks" in capsys.readouterr().err
    assert run("evaluate.py", *arguments, "--mask-proposals", folder / "rfcn") == 2
    assert "expected a network with model.head: instance_fcn, found rfcn" in capsys.readouterr().err
    assert run("evaluate.py", *arguments, "--watch", "--mask-proposals", folder / "proposer") == 2
    assert "no --mask-proposals" in capsys.readouterr().err
    assert run("evaluate.py", *arguments, "--watch") == 2
    assert "which has no masks" in capsys.readouterr().err


def test_predict_takes_both(folder, run, tmp_path):
    image = np.random.default_rng(0).integers(0, 255, [70, 90, 3], dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    both = ["--model-dir", folder / "rfcn", "--mask-proposals", folder / "proposer"]
    assert run("predict.py", tmp_path / "a.png", *both, "--min-score", 0, "--out", tmp_path / "out") == 0
    results = json.loads((tmp_path / "out/instances.json").read_text())
    assert results and all(result["segmentation"]["size"] == [70, 90] for result in results)


@pytest.mark.parametrize("name", ["rfcn", "proposer"])
def test_neither_is_exported(folder, run, tmp_path, capsys, name):
    assert run("export_savedmodel.py", "--model-dir", folder / name, "--out", tmp_path / "1") == 2
    error = capsys.readouterr().err
    assert str(folder / name) in error and "masks" in error and error.count("\n") == 1
    assert not (tmp_path / "1").exists()
