"""The files that TensorFlow Serving is deployed with fit together, and the probe tells whether the model is there."""

import contextlib
import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from fcis_tf.ops.build import FAMILIES, INSTRUCTION_SETS

ROOT = Path(__file__).parents[2]
SERVING = ROOT / "serving"
MODEL_NAME = "fcis"


@pytest.fixture
def compose():
    return yaml.safe_load((SERVING / "docker-compose.yaml").read_text())["services"]["fcis"]


@pytest.fixture
def manifests():
    """{kind: manifest} of Kubernetes."""
    manifests = [yaml.safe_load(path.read_text()) for path in sorted((SERVING / "kubernetes").glob("*.yaml"))]
    assert all({"apiVersion", "kind", "metadata", "spec"} <= set(manifest) for manifest in manifests)
    return {manifest["kind"]: manifest["spec"] | {"name": manifest["metadata"]["name"]} for manifest in manifests}


@pytest.fixture
def pod(manifests):
    return manifests["Deployment"]["template"]["spec"]


@pytest.fixture
def container(pod):
    (container,) = pod["containers"]
    return container


def test_the_same_server_everywhere(compose, container):
    version = compose["image"].partition(":")[2]
    assert compose["image"] == container["image"] == f"tensorflow/serving:{version}"
    assert f"ARG VERSION={version}\n" in (SERVING / "Dockerfile").read_text()


def test_the_model_has_one_name(compose, container):
    assert compose["environment"]["MODEL_NAME"] == MODEL_NAME
    assert compose["volumes"][0].endswith(f":/models/{MODEL_NAME}:ro")
    assert container["env"] == [{"name": "MODEL_NAME", "value": MODEL_NAME}]
    assert container["volumeMounts"][0]["mountPath"] == f"/models/{MODEL_NAME}"


def test_ports(compose, manifests, container):
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": 8500, "rest": 8501}
    assert compose["ports"] == [f"{number}:{number}" for number in ports.values()]
    for port in manifests["Service"]["ports"]:
        assert port["port"] == ports[port["targetPort"]]


def test_manifests_refer_to_each_other(manifests, pod):
    labels = manifests["Deployment"]["template"]["metadata"]["labels"]
    assert manifests["Deployment"]["selector"]["matchLabels"] == labels
    assert manifests["PodDisruptionBudget"]["selector"]["matchLabels"] == labels
    assert manifests["Service"]["selector"] == labels
    target = manifests["HorizontalPodAutoscaler"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", manifests["Deployment"]["name"])
    claim = pod["volumes"][0]["persistentVolumeClaim"]["claimName"]
    assert claim == manifests["PersistentVolumeClaim"]["name"]
    assert pod["volumes"][0]["name"] == pod["containers"][0]["volumeMounts"][0]["name"]


def test_a_pod_goes_after_its_successor_is_ready(manifests, pod, container):
    assert manifests["Deployment"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert pod["terminationGracePeriodSeconds"] > int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    # The autoscaler needs to know what a pod asks for.
    assert container["resources"]["requests"]["cpu"]


@contextlib.contextmanager
def status_server(state):
    """Answers as TensorFlow Serving's REST API: with 200 in whatever state. Yields (port, the paths asked for)."""
    paths = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f'{{"model_version_status": [{{"version": "1", "state": "{state}"}}]}}\n'.encode())

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, paths
        server.shutdown()


def probe(command, port):
    return subprocess.run([word.replace("8501", str(port)) for word in command], capture_output=True).returncode


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_the_probe_passes_when_the_model_is_available(compose, container):
    command = container["readinessProbe"]["exec"]["command"]
    assert command == container["startupProbe"]["exec"]["command"] == compose["healthcheck"]["test"][1:]
    with status_server("AVAILABLE") as (port, paths):
        assert probe(command, port) == 0
    assert paths == [f"/v1/models/{MODEL_NAME}"]
    with status_server("LOADING") as (port, _):
        assert probe(command, port) != 0
    assert probe(command, port) != 0


def test_batching_parameters_are_mounted_where_the_flag_says(compose):
    text = (SERVING / "batching_parameters.txt").read_text()
    parameters = dict(re.findall(r"^(\w+) \{ value: (\d+) \}$", text, re.MULTILINE))
    assert set(parameters) == {"max_batch_size", "batch_timeout_micros", "num_batch_threads", "max_enqueued_batches"}
    (path,) = re.findall(r"--batching_parameters_file=([\w/.]+)", (SERVING / "docker-compose.yaml").read_text())
    assert f"./batching_parameters.txt:{path}:ro" in compose["volumes"]


def test_the_build_of_the_native_operators_names_what_there_is():
    targets, sources = {}, ROOT / "fcis_tf" / "ops" / "cc"
    names = {
        "package": lambda **arguments: None,
        "glob": lambda patterns: [str(path.relative_to(sources)) for path in sources.glob(patterns[0])],
        "cc_library": lambda name, **arguments: targets.update({name: arguments}),
    }
    # Bazel's language is a part of Python.
    exec((SERVING / "native_ops.BUILD").read_text(), names)
    assert tuple(names["FAMILIES"]) == FAMILIES
    # On other processors there are fewer.
    assert {name: names["INSTRUCTION_SETS"][name] for name in INSTRUCTION_SETS} == INSTRUCTION_SETS
    files = [file for target in targets.values() for file in [*target.get("srcs", []), *target.get("hdrs", [])]]
    assert {str(path.relative_to(sources)) for path in sources.rglob("*.cc")} - set(files) == {
        "kernels/position_sensitive_gpu_kernels.cc"
    }
    for target in targets.values():
        assert {name[1:] for name in target.get("deps", []) if name.startswith(":")} <= set(targets)
    for line in (SERVING / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            assert (ROOT / line.split()[1]).exists()
    assert "ops" in targets and "custom_ops/fcis_tf:ops" in (SERVING / "Dockerfile").read_text()
