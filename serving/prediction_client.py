"""Asks TensorFlow Serving for the detections in an encoded image."""

import json
import re

import grpc
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

from fcis_tf.errors import UserError

SIGNATURE = "serving_default"
INPUT = "image_bytes"
OUTPUTS = (
    "num_detections",
    "detection_boxes",
    "detection_classes",
    "detection_scores",
    "detection_masks",
    "detection_class_entities",
)


class PredictionError(UserError):
    """The server's refusal of one request, as `CODE: message`.

    Attributes:
        code: a grpc.StatusCode.
    """

    def __init__(self, error):
        """Takes the grpc.RpcError."""
        self.code = error.code()
        super().__init__(f"{self.code.name}: {_one_line(error.details())}")


class PredictionClient:
    """A connection to one model on a server that speaks TensorFlow Serving's gRPC; threads may share it.

    Requests that the server is not there for (UNAVAILABLE) are sent again after growing, random delays; no others are.

    Example:
        client = PredictionClient("localhost:8500", "fcis")
        client.check_model()
        detections = client.predict(Path("a.jpg").read_bytes())
    """

    def __init__(self, address, model_name, *, timeout=60.0, retries=3, root_certificates=None, encrypted=False):
        """Prepares a connection, which is made by the first request.

        Args:
            address: HOST:PORT.
            model_name: the name that the server knows the model by.
            timeout: seconds that a request may take, its repetitions included.
            retries: how often at most a request is sent again, 0 to 4.
            root_certificates: bytes, PEM, of the authorities to trust in place of the well-known ones.
            encrypted: whether to use TLS.
        """
        self.address, self.model_name, self._timeout = address, model_name, timeout
        options = [
            # Masks of many instances outgrow gRPC's 4 MB.
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.service_config", _service_config(retries)),
            # A request of more bytes than this buffer would not be sent again.
            ("grpc.per_rpc_retry_buffer_size", 2**30),
            # By default a lost connection is only tried again after a second, when all repetitions may be over.
            ("grpc.initial_reconnect_backoff_ms", 100),
        ]
        if encrypted:
            credentials = grpc.ssl_channel_credentials(root_certificates)
            self._channel = grpc.secure_channel(address, credentials, options)
        else:
            self._channel = grpc.insecure_channel(address, options)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._channel.close()

    def check_model(self):
        """Checks that the server answers, and serves a model that takes and gives what this client expects.

        Raises:
            UserError: it doesn't; the message says what was found.
        """
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = self.model_name
        try:
            response = self._stub.GetModelMetadata(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise UserError(self._explain(error)) from None
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        signature = signatures.signature_def[SIGNATURE]
        takes_bytes = list(signature.inputs) == [INPUT] and signature.inputs[INPUT].dtype == tf.string.as_datatype_enum
        if not takes_bytes or not set(OUTPUTS) <= set(signature.outputs):
            raise UserError(
                f"{self.address}: model {self.model_name} is no exported detector: expected {SIGNATURE}: {INPUT} "
                f"(string) -> {', '.join(OUTPUTS)}; found {SIGNATURE}: {_describe(signature)}"
            )

    def predict(self, image_bytes):
        """Asks for the detections in one image.

        Args:
            image_bytes: an encoded image: JPEG, PNG, GIF or BMP.

        Returns:
            A dict of the model's outputs as NumPy arrays, those of the one image: without the leading dimension.

        Raises:
            PredictionError: the server refused, could not be reached or took too long.
        """
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.model_name
        request.model_spec.signature_name = SIGNATURE
        request.inputs[INPUT].CopyFrom(tf.make_tensor_proto([image_bytes]))
        try:
            response = self._stub.Predict(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise PredictionError(error) from None
        return {name: tf.make_ndarray(response.outputs[name])[0] for name in OUTPUTS}

    def _explain(self, error):
        reasons = {
            grpc.StatusCode.UNAVAILABLE: "no gRPC server can be reached there",
            grpc.StatusCode.DEADLINE_EXCEEDED: f"no answer within {self._timeout:g} seconds; expected the port of "
            "TensorFlow Serving's gRPC, by default 8500",
            grpc.StatusCode.UNIMPLEMENTED: "a gRPC server, but not TensorFlow Serving",
            grpc.StatusCode.NOT_FOUND: f"the server has no model {self.model_name}",
        }
        found = f"{error.code().name}: {_one_line(error.details())}"
        if "handshake" in found:
            return f"{self.address}: no encrypted connection can be made; check --tls and --ca-file ({found})"
        return f"{self.address}: {reasons.get(error.code(), 'the server does not describe its model')} ({found})"


def _service_config(retries):
    """Returns what gRPC itself shall do, as JSON: spread requests over all of a host's addresses, and repeat them."""
    config = {"loadBalancingConfig": [{"round_robin": {}}]}
    if retries:
        policy = {
            "maxAttempts": retries + 1,
            # gRPC varies each delay by a fifth at random.
            "initialBackoff": "0.3s",
            "backoffMultiplier": 2,
            "maxBackoff": "5s",
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
        config["methodConfig"] = [{"name": [{}], "retryPolicy": policy}]
    return json.dumps(config)


def _describe(signature):
    """Returns the inputs and outputs of a signature, by name and type."""
    sides = []
    for tensors in (signature.inputs, signature.outputs):
        named = [f"{name} ({tf.as_dtype(tensor.dtype).name})" for name, tensor in sorted(tensors.items())]
        sides.append(", ".join(named) or "nothing")
    return " -> ".join(sides)


def _one_line(details):
    """Returns the text of an error without what TensorFlow wraps around it: names of graph nodes, and assertions."""
    text = " ".join(re.sub(r"\{\{.*?\}\}|\[\[.*?\]\]", " ", details or "").split())
    return re.sub(r"^assertion failed: \[(.*)\]$", r"\1", text)
