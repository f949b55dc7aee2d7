"""A stand-in for TensorFlow Serving where its binary is not: `python serving/stand_in.py MODEL_BASE_PATH`.

It is not TensorFlow Serving, but a small server for tests and benchmarks, over `tf.saved_model.load`. What it has in
common with it is the protocol (Predict, GetModelMetadata and GetModelStatus over gRPC), the codes of errors, the layout
of models on disk, the replay of warm-up requests before it listens, and that it knows nothing but the SavedModel: it
neither imports fcis_tf nor loads its operators.
"""

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import grpc  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow.core.protobuf import saved_model_pb2  # noqa: E402
from tensorflow_serving.apis import (  # noqa: E402
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

# TensorFlow numbers its errors as gRPC does.
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class ServedModel:
    """The newest version of a model, loaded and warmed up.

    Attributes:
        name: of the model.
        version: the number that its directory is named with.
        signature_defs: a SignatureDefMap, what GetModelMetadata tells.
    """

    def __init__(self, name, base_path):
        """Loads a model.

        Args:
            name: of the model.
            base_path: directory with a directory for each version, named with its number.

        Raises:
            ValueError: there is no such directory, or no SavedModel in it.
            tf.errors.OpError: the model cannot be loaded, or refuses one of its warm-up requests.
        """
        versions = [path for path in Path(base_path).glob("*") if path.name.isdecimal() and path.is_dir()]
        if not versions:
            raise ValueError(f"{base_path}: expected a directory named with the number of a version, such as 1")
        path = max(versions, key=lambda path: int(path.name))
        if not (path / "saved_model.pb").is_file():
            raise ValueError(f"{path}: expected a SavedModel; there is no saved_model.pb")
        self.name, self.version = name, int(path.name)
        self.signature_defs = _read_signature_defs(path)
        self._model = tf.saved_model.load(str(path))
        self._warm_up(path / "assets.extra" / "tf_serving_warmup_requests")

    def check(self, model_spec):
        """Raises tf.errors.NotFoundError if a request is for another model or version."""
        wanted = model_spec.version.value if model_spec.HasField("version") else self.version
        if (model_spec.name, wanted) != (self.name, self.version):
            raise tf.errors.NotFoundError(None, None, f"Servable not found for request: {model_spec.name} {wanted}")

    def predict(self, request):
        """Answers a PredictRequest with a PredictResponse.

        Raises:
            tf.errors.OpError: the request does not fit the model, or the model refuses it.
        """
        self.check(request.model_spec)
        name = request.model_spec.signature_name or "serving_default"
        if name not in self._model.signatures:
            raise _invalid(f'Serving signature name: "{name}" not found in signature def')
        function = self._model.signatures[name]
        outputs = function(**_check_inputs(request.inputs, function.structured_input_signature[1]))
        response = predict_pb2.PredictResponse()
        response.model_spec.name = self.name
        response.model_spec.version.value = self.version
        response.model_spec.signature_name = name
        for output, tensor in outputs.items():
            response.outputs[output].CopyFrom(tf.make_tensor_proto(tensor.numpy()))
        return response

    def _warm_up(self, path):
        for record in tf.data.TFRecordDataset(str(path)) if path.is_file() else ():
            log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
            log.predict_log.request.model_spec.name = self.name
            self.predict(log.predict_log.request)


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers predictions and what the model takes and gives; all else is UNIMPLEMENTED."""

    def __init__(self, model):
        """Takes the ServedModel."""
        self._model = model

    def Predict(self, request, context):
        """Answers a PredictRequest."""
        return _answer(context, lambda: self._model.predict(request))

    def GetModelMetadata(self, request, context):
        """Answers a GetModelMetadataRequest, which may ask for the signatures alone."""

        def metadata():
            self._model.check(request.model_spec)
            if list(request.metadata_field) != ["signature_def"]:
                raise _invalid(f"Metadata field {list(request.metadata_field)} is not supported")
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            response.model_spec.name = self._model.name
            response.model_spec.version.value = self._model.version
            response.metadata["signature_def"].Pack(self._model.signature_defs)
            return response

        return _answer(context, metadata)


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """Answers that the model is available; all else is UNIMPLEMENTED."""

    def __init__(self, model):
        """Takes the ServedModel."""
        self._model = model

    def GetModelStatus(self, request, context):
        """Answers a GetModelStatusRequest."""

        def status():
            self._model.check(request.model_spec)
            available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
            version = get_model_status_pb2.ModelVersionStatus(version=self._model.version, state=available)
            return get_model_status_pb2.GetModelStatusResponse(model_version_status=[version])

        return _answer(context, status)


def main():
    parser = argparse.ArgumentParser(
        description="A stand-in for TensorFlow Serving, for tests and benchmarks: serves one SavedModel over gRPC on "
        "localhost. Prints one line with the port when it is ready."
    )
    parser.add_argument("model_base_path", type=Path, help="directory of versions, named by numbers")
    parser.add_argument("--model-name", default="fcis", help="[%(default)s]")
    parser.add_argument("--port", type=int, default=8500, help="0 for any that is free [%(default)s]")
    parser.add_argument("--threads", type=int, default=16, help="requests answered at once [%(default)s]")
    arguments = parser.parse_args()
    # gRPC would take the port modulo 65536.
    if not 0 <= arguments.port < 65536:
        parser.error(f"argument --port: expected a number in 0..65535, found {arguments.port}")
    try:
        model = ServedModel(arguments.model_name, arguments.model_base_path)
        server = grpc.server(
            ThreadPoolExecutor(arguments.threads),
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
                # Otherwise a second server at the same port would take half of the connections.
                ("grpc.so_reuseport", 0),
            ],
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(model), server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(model), server)
        port = server.add_insecure_port(f"localhost:{arguments.port}")
    except tf.errors.OpError as error:
        sys.exit(f"stand_in.py: {arguments.model_base_path}: {_graph_message(error.message)}")
    except (ValueError, RuntimeError) as error:
        sys.exit(f"stand_in.py: {error}")
    server.start()
    print(f"stand-in for TensorFlow Serving: {model.name}, version {model.version}, at localhost:{port}", flush=True)
    try:
        server.wait_for_termination()
    except KeyboardInterrupt:
        server.stop(grace=1).wait()


def _answer(context, answer):
    try:
        return answer()
    except tf.errors.OpError as error:
        context.abort(_CODES[error.error_code], _graph_message(error.message))


def _graph_message(message):
    """Returns an error's message as the graph raised it, without what eager execution wraps around it."""
    _, found, inner = message.partition("<stack traces unavailable>")
    message = inner if found else message
    # gRPC does not transport texts of any length.
    return message.rpartition(" [Op:")[0][:1024] if " [Op:" in message else message[:1024]


def _check_inputs(inputs, specs):
    """Returns {name: tensor} of a request's inputs, if they are those of a signature."""
    if set(inputs) != set(specs):
        raise _invalid(f"input names {sorted(inputs)} are not those of the signature, {sorted(specs)}")
    tensors = {}
    for name, spec in specs.items():
        try:
            tensors[name] = tf.constant(tf.make_ndarray(inputs[name]))
        except (TypeError, ValueError) as error:
            raise _invalid(f"input {name} is malformed: {error}") from None
        if not spec.is_compatible_with(tensors[name]):
            raise _invalid(f"input {name} is {tensors[name].dtype.name} {tensors[name].shape}, expected {spec}")
    return tensors


def _invalid(message):
    return tf.errors.InvalidArgumentError(None, None, message)


def _read_signature_defs(path):
    saved_model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    (graph,) = (graph for graph in saved_model.meta_graphs if "serve" in graph.meta_info_def.tags)
    return get_model_metadata_pb2.SignatureDefMap(signature_def=graph.signature_def)


if __name__ == "__main__":
    main()
