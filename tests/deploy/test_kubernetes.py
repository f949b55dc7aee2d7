"""The manifests of a training job fit together, and the programs take their arguments."""

import re
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
    return {name: owner["template"]["spec"] for name, owner in owners(manifests, replicas).items()}


def owners(manifests, replicas):
    """Returns {name: what has a pod as its template}."""
    others = {name: spec for name, spec in manifests.items() if name.split()[0] in ("Job", "Deployment")}
    return others | replicas


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
    assert evaluator["command"] == ["tini", "--", "python", "evaluate.py"]
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


def test_pods_run_the_image_of_this_version(pods):
    (version,) = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert {pod["containers"][0]["image"] for pod in pods.values()} == {f"fcis-train:{version}"}
    for path in ("deploy/Dockerfile", "docs/scale.md"):
        assert set(re.findall(r"\bfcis-train\b(\S*)", (ROOT / path).read_text())) == {f":{version}"}, path


def test_pods_have_no_rights_they_do_not_need(pods):
    for pod in pods.values():
        context = pod["securityContext"]
        assert context["runAsNonRoot"] and context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert ("fsGroup" in context) == ("fsGroupChangePolicy" in context)
        assert pod["automountServiceAccountToken"] is False
        (container,) = pod["containers"]
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_the_service_finds_tensorboard(manifests):
    labels = manifests["Deployment fcis-tensorboard"]["template"]["metadata"]["labels"]
    assert manifests["Deployment fcis-tensorboard"]["selector"]["matchLabels"] == labels
    assert manifests["Service fcis-tensorboard"]["selector"] == labels


def test_only_workers_are_reached_and_only_by_each_other(manifests, replicas):
    training = manifests["NetworkPolicy fcis-training"]
    beside = manifests["NetworkPolicy fcis-beside-training"]
    assert training["policyTypes"] == beside["policyTypes"] == ["Ingress"] and "ingress" not in beside
    assert training["ingress"] == [{"from": [{"podSelector": training["podSelector"]}]}]
    (others,) = beside["podSelector"]["matchExpressions"]
    for name, owner in owners(manifests, replicas).items():
        labels = owner["template"]["metadata"]["labels"]
        if name in replicas:
            assert labels == training["podSelector"]["matchLabels"]
        else:
            assert others["operator"] == "In" and labels[others["key"]] in others["values"]
