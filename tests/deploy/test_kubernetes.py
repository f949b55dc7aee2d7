"""The manifests of a training job fit together, and the programs take their arguments."""

import runpy
import sys
from pathlib import Path

import pytest
import yaml

from fcis_tf.config import load_config
from fcis_tf.preemption import EXIT_STATUS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def manifests():
    """{"KIND NAME": manifest}."""
    documents = [
        document
        for path in sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
    ]
    assert all({"apiVersion", "kind", "metadata", "spec"} <= set(document) for document in documents)
    return {f"{document['kind']} {document['metadata']['name']}": document["spec"] for document in documents}


@pytest.fixture(scope="module")
def replicas(manifests):
    return manifests["TFJob fcis"]["tfReplicaSpecs"]


@pytest.fixture(scope="module")
def pods(manifests, replicas):
    """{name: specification} of all pods that there are."""
    others = {name: spec for name, spec in manifests.items() if name.split()[0] in ("Job", "Deployment")}
    return {name: owner["template"]["spec"] for name, owner in (others | replicas).items()}


def parse(monkeypatch, program, arguments):
    """Returns what a program reads from its command line."""
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    return runpy.run_path(str(ROOT / program))["parse_arguments"]()


def test_the_operator_finds_what_it_needs(replicas):
    assert set(replicas) == {"Chief", "Worker"} and replicas["Chief"]["replicas"] == 1
    for replica in replicas.values():
        # 128 and more are tried again, see the operator's IsRetryableExitCode; 2 is not.
        assert replica["restartPolicy"] == "ExitCode" and EXIT_STATUS >= 128
        (container,) = replica["template"]["spec"]["containers"]
        assert container["name"] == "tensorflow" and {"name": "tfjob-port", "containerPort": 2222} in container["ports"]
        assert replica["template"]["spec"]["terminationGracePeriodSeconds"] > 30


def test_train_takes_the_arguments(replicas, monkeypatch):
    (container,) = replicas["Chief"]["template"]["spec"]["containers"]
    arguments = parse(monkeypatch, "train.py", container["args"])
    monkeypatch.chdir(ROOT)
    config = load_config(arguments.config, arguments.override)
    gpus = int(container["resources"]["limits"]["nvidia.com/gpu"])
    assert config.training.images_per_step == gpus * sum(replica["replicas"] for replica in replicas.values())
    assert config.training.evaluate_every is None
    # As many images as the paper's schedule has.
    paper = load_config(arguments.config).training
    assert config.training.learning_rate.images_per_step == paper.images_per_step
    for key in ("steps", "learning_rate.boundaries.0"):
        assert images(config.training, key) == images(paper, key)


def images(training, key):
    value = training
    for part in key.split("."):
        value = value[int(part)] if part.isdecimal() else getattr(value, part)
    return value * training.images_per_step


def test_the_evaluator_follows_the_same_run(manifests, replicas, monkeypatch):
    (trainer,) = replicas["Chief"]["template"]["spec"]["containers"]
    (evaluator,) = manifests["Job fcis-evaluator"]["template"]["spec"]["containers"]
    assert evaluator["command"] == ["python", "evaluate.py"]
    arguments = parse(monkeypatch, "evaluate.py", evaluator["args"])
    training = parse(monkeypatch, "train.py", trainer["args"])
    assert arguments.watch and arguments.model_dir == [training.model_dir] and arguments.config == training.config


def test_pods_mount_what_there_is(manifests, pods):
    claims = {name.split()[1] for name in manifests if name.startswith("PersistentVolumeClaim ")}
    for pod in pods.values():
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        claimed = [volume["persistentVolumeClaim"] for volume in volumes.values() if "emptyDir" not in volume]
        assert {claim["claimName"] for claim in claimed} <= claims
        (container,) = pod["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
        assert container["image"] == "fcis-train" and container["securityContext"]["runAsNonRoot"]


def test_the_service_finds_tensorboard(manifests):
    labels = manifests["Deployment fcis-tensorboard"]["template"]["metadata"]["labels"]
    assert manifests["Deployment fcis-tensorboard"]["selector"]["matchLabels"] == labels
    assert manifests["Service fcis-tensorboard"]["selector"] == labels
