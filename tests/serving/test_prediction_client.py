"""The connection to a server, and what is said when it fails."""

import contextlib
import socket
import subprocess
import threading
import time

import grpc
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import predict_pb2

from fcis_tf.errors import UserError
from serving.prediction_client import OUTPUTS, PredictionClient, PredictionError
from tests.serving.fake_server import described, fake_server
from tests.serving.photographs import bright_rectangle, encode


def answer(request, context):
    """An answer whose every output is a 7."""
    response = predict_pb2.PredictResponse()
    for name in OUTPUTS:
        response.outputs[name].CopyFrom(tf.make_tensor_proto([7.0]))
    return response


class Failing:
    """Answers after a number of failures."""

    def __init__(self, failures, code):
        self.failures, self.code, self.calls, self.times = failures, code, 0, []

    def __call__(self, request, context):
        self.calls += 1
        self.times.append(time.monotonic())
        if self.calls <= self.failures:
            context.abort(self.code, "not now\nnode {{node map/while}} [[{{node x}}]]")
        return answer(request, context)


def signature(inputs, outputs):
    definition = meta_graph_pb2.SignatureDef()
    for tensors, types in ((definition.inputs, inputs), (definition.outputs, outputs)):
        for name, dtype in types.items():
            tensors[name].dtype = dtype.as_datatype_enum
    return definition


DETECTOR = described({"serving_default": signature({"image_bytes": tf.string}, dict.fromkeys(OUTPUTS, tf.float32))})


def test_asks_the_stand_in(stand_in):
    with PredictionClient(stand_in[0], "fcis") as client:
        client.check_model()
        detections = client.predict(encode(bright_rectangle()))
    assert detections["num_detections"] == 1 and detections["detection_class_entities"][0] == b"dog"
    assert detections["detection_boxes"].shape == (100, 4)


def test_an_image_that_the_model_refuses(stand_in):
    with PredictionClient(stand_in[0], "fcis") as client, pytest.raises(PredictionError) as caught:
        client.predict(b"no image")
    assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT
    assert str(caught.value).startswith("INVALID_ARGUMENT: Unknown image file format")


def test_an_assertion_of_the_model_is_its_text_alone():
    def refuse(request, context):
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "assertion failed: [image_bytes[0]: no image] [[{{node a}}]]")

    with fake_server(predict=refuse) as address, PredictionClient(address, "fcis") as client:
        with pytest.raises(PredictionError) as caught:
            client.predict(b"")
    assert str(caught.value) == "INVALID_ARGUMENT: image_bytes[0]: no image"


def test_asks_again_while_the_server_is_unavailable():
    failing = Failing(2, grpc.StatusCode.UNAVAILABLE)
    with fake_server(predict=failing) as address, PredictionClient(address, "fcis") as client:
        # A photograph's size must not keep it from being sent again.
        assert client.predict(bytes(3_000_000))["num_detections"] == 7
    first, second = (later - earlier for earlier, later in zip(failing.times, failing.times[1:], strict=False))
    assert failing.calls == 3 and 0.2 < first < second


def test_gives_up_after_its_retries():
    failing = Failing(9, grpc.StatusCode.UNAVAILABLE)
    with fake_server(predict=failing) as address, PredictionClient(address, "fcis", retries=1) as client:
        with pytest.raises(PredictionError, match="^UNAVAILABLE: not now node$"):
            client.predict(b"")
    assert failing.calls == 2


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "INTERNAL", "DEADLINE_EXCEEDED"])
def test_other_failures_are_final(code):
    failing = Failing(9, grpc.StatusCode[code])
    with fake_server(predict=failing) as address, PredictionClient(address, "fcis") as client:
        with pytest.raises(PredictionError, match=f"^{code}: not now"):
            client.predict(b"")
    assert failing.calls == 1


def test_an_answer_that_takes_too_long():
    over = threading.Event()

    def slow(request, context):
        over.wait(20)
        return answer(request, context)

    with fake_server(predict=slow) as address, PredictionClient(address, "fcis", timeout=0.3) as client:
        with pytest.raises(PredictionError, match="^DEADLINE_EXCEEDED: "):
            client.predict(b"")
        over.set()


def test_answers_of_any_size():
    def large(request, context):
        response = answer(request, context)
        response.outputs["detection_masks"].CopyFrom(tf.make_tensor_proto([bytes(6_000_000)]))
        return response

    with fake_server(predict=large) as address, PredictionClient(address, "fcis") as client:
        assert len(client.predict(b"")["detection_masks"]) == 6_000_000


def explain(address, model_name="fcis", **options):
    options = {"retries": 0, "timeout": 5.0, **options}
    with PredictionClient(address, model_name, **options) as client, pytest.raises(UserError) as caught:
        client.check_model()
    assert str(caught.value).startswith(f"{address}: ") and "\n" not in str(caught.value)
    return str(caught.value)


def test_nobody_listens():
    # Nobody else gets the port meanwhile.
    with socket.socket() as unused:
        unused.bind(("localhost", 0))
        message = explain(f"localhost:{unused.getsockname()[1]}")
    assert "no gRPC server can be reached there (UNAVAILABLE" in message


def test_a_host_that_there_is_not():
    assert "no gRPC server can be reached there" in explain("no-such-host.invalid:8500")


def test_a_listener_that_says_nothing():
    with socket.create_server(("localhost", 0)) as silent:
        message = explain(f"localhost:{silent.getsockname()[1]}", timeout=0.5)
    assert "no answer within 0.5 seconds; expected the port of TensorFlow Serving's gRPC, by default 8500" in message


def test_a_web_server():
    with socket.create_server(("localhost", 0)) as web:

        def refuse():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = web.accept()
                    connection.recv(100)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    connection.close()

        threading.Thread(target=refuse, daemon=True).start()
        assert "no gRPC server can be reached there (UNAVAILABLE" in explain(f"localhost:{web.getsockname()[1]}")


def test_another_gRPC_server():
    with fake_server() as address:
        assert "a gRPC server, but not TensorFlow Serving (UNIMPLEMENTED" in explain(address)


def test_another_models_name(stand_in):
    assert "the server has no model resnet (NOT_FOUND: " in explain(stand_in[0], "resnet")


def test_another_models_signature():
    classifier = described({"serving_default": signature({"x": tf.float32, "y": tf.int32}, {"logits": tf.float32})})
    with fake_server(metadata=classifier) as address:
        message = explain(address)
    assert "model fcis is no exported detector: expected serving_default: image_bytes (string) -> num_det" in message
    assert message.endswith("found serving_default: x (float32), y (int32) -> logits (float32)")


def test_a_model_without_the_signature():
    with fake_server(metadata=described({})) as address:
        assert explain(address).endswith("found serving_default: nothing -> nothing")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """(key, certificate) of localhost, PEM, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    try:
        subprocess.run(
            [*command.split(), "-keyout", folder / "key.pem", "-out", folder / "certificate.pem"],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("needs openssl")
    return (folder / "key.pem").read_bytes(), (folder / "certificate.pem").read_bytes()


def test_encrypted(certificate):
    with fake_server(answer, DETECTOR, grpc.ssl_server_credentials([certificate])) as address:
        with PredictionClient(address, "fcis", encrypted=True, root_certificates=certificate[1]) as client:
            client.check_model()
            assert client.predict(b"")["num_detections"] == 7
        assert "check --tls and --ca-file" in explain(address, encrypted=True)
        assert "no gRPC server can be reached there" in explain(address)
