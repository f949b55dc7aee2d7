"""The stand-in for TensorFlow Serving, a process of its own."""

import ast
import os
import sys
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.running_stand_in import STAND_IN, running_stand_in
from serving.stand_in import main as stand_in_main
from tests.serving.photographs import HEIGHT, WIDTH, bright_rectangle, encode
from tests.serving.tiny_model import MAX_DETECTIONS, export_tiny_model


@pytest.fixture(scope="module")
def channel(stand_in):
    with grpc.insecure_channel(stand_in[0]) as channel:
        yield channel


@pytest.fixture(scope="module")
def service(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def request(model_name="fcis", signature="", version=None, **inputs):
    message = predict_pb2.PredictRequest()
    message.model_spec.name = model_name
    message.model_spec.signature_name = signature
    if version is not None:
        message.model_spec.version.value = version
    for name, value in inputs.items():
        message.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return message


def refusal(call, message):
    with pytest.raises(grpc.RpcError) as caught:
        call(message)
    return caught.value.code(), caught.value.details()


def test_serves_the_highest_version_by_both_signatures(service):
    image = bright_rectangle()
    by_bytes = service.Predict(request(image_bytes=[encode(image), encode(image)]))
    by_pixels = service.Predict(request(signature="serve_tensor", images=np.stack([image, image])))
    assert by_bytes.model_spec.version.value == 10 and by_bytes.model_spec.signature_name == "serving_default"
    assert set(by_bytes.outputs) == set(by_pixels.outputs)
    for name, value in by_bytes.outputs.items():
        np.testing.assert_array_equal(tf.make_ndarray(value), tf.make_ndarray(by_pixels.outputs[name]))
    boxes = tf.make_ndarray(by_bytes.outputs["detection_boxes"])
    assert boxes.shape == (2, MAX_DETECTIONS, 4)
    np.testing.assert_allclose(boxes[1, 0], [10 / HEIGHT, 20 / WIDTH, 30 / HEIGHT, 60 / WIDTH])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ({"image_bytes": [b"no image"]}, "INVALID_ARGUMENT", "Unknown image file format"),
        ({"image_bytes": [encode(bright_rectangle())[:60]]}, "INVALID_ARGUMENT", "Invalid PNG data"),
        ({"image_bytes": [encode(np.zeros((1001, 1000, 3), np.uint8))]}, "INVALID_ARGUMENT", "too many pixels"),
        ({"image_bytes": b"no batch"}, "INVALID_ARGUMENT", "expected TensorSpec(shape=(None,), dtype=tf.string"),
        ({"image_bytes": [1.5]}, "INVALID_ARGUMENT", "input image_bytes is float32"),
        ({"image": [b""]}, "INVALID_ARGUMENT", "input names ['image']"),
        ({"signature": "train", "image_bytes": [b""]}, "INVALID_ARGUMENT", '"train" not found'),
        ({"model_name": "resnet", "image_bytes": [b""]}, "NOT_FOUND", "resnet"),
        ({"version": 9, "image_bytes": [b""]}, "NOT_FOUND", "fcis 9"),
    ],
)
def test_refuses_as_tensorflow_serving_does(service, arguments, code, message):
    found, details = refusal(service.Predict, request(**arguments))
    assert found.name == code and message in details


def test_tells_the_signatures(service):
    asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    asked.model_spec.name = "fcis"
    signatures = get_model_metadata_pb2.SignatureDefMap()
    service.GetModelMetadata(asked).metadata["signature_def"].Unpack(signatures)
    assert {"serving_default", "serve_tensor"} <= set(signatures.signature_def)
    assert list(signatures.signature_def["serve_tensor"].inputs) == ["images"]


def test_tells_that_the_model_is_available(channel):
    models = model_service_pb2_grpc.ModelServiceStub(channel)
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = "fcis"
    (status,) = models.GetModelStatus(asked).model_version_status
    assert status.version == 10 and status.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
    asked.model_spec.name = "resnet"
    assert refusal(models.GetModelStatus, asked)[0] == grpc.StatusCode.NOT_FOUND


def test_has_nothing_else(service):
    assert refusal(service.Classify, classification_pb2.ClassificationRequest())[0] == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs Linux's /proc")
def test_never_loads_this_package(stand_in):
    maps = Path(f"/proc/{stand_in[1]}/maps").read_text()
    assert "tensorflow" in maps and "fcis_tf" not in maps


def test_never_imports_this_package():
    nodes = list(ast.walk(ast.parse(STAND_IN.read_text())))
    imported = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    imported += [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    assert "grpc" in imported and not [name for name in imported if name.startswith(("fcis_tf", "serving"))]


@pytest.fixture
def start_badly(monkeypatch):
    """Starts a stand-in within this process, which ends at once, and returns its message."""

    def start(base_path):
        monkeypatch.setattr(sys, "argv", ["stand_in.py", str(base_path), "--port", "0"])
        with pytest.raises(SystemExit) as exit_:
            stand_in_main()
        return exit_.value.code

    return start


def test_a_directory_without_a_version_is_one_line(start_badly, tmp_path):
    message = start_badly(tmp_path)
    assert message == f"stand_in.py: {tmp_path}: expected a directory named with the number of a version, such as 1"
    (tmp_path / "1").mkdir()
    assert start_badly(tmp_path).endswith(f"{tmp_path}/1: expected a SavedModel; there is no saved_model.pb")


def test_a_warm_up_request_that_fails_keeps_the_model_from_serving(start_badly, tmp_path):
    export_tiny_model(tmp_path / "1", warm_up_image=b"no image")
    assert "Unknown image file format" in start_badly(tmp_path)


def test_a_port_that_is_taken_is_an_error(stand_in, served_model):
    port = stand_in[0].rpartition(":")[2]
    with pytest.raises(RuntimeError, match="stand_in.py: "), running_stand_in(served_model, "--port", port):
        pass
