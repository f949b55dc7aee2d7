"""A server within the test's process, whose answers the test chooses."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import grpc
from tensorflow_serving.apis import get_model_metadata_pb2, prediction_service_pb2_grpc


@contextlib.contextmanager
def fake_server(predict=None, metadata=None, credentials=None):
    """Runs a gRPC server.

    Args:
        predict: a function of (PredictRequest, context).
        metadata: a function of (GetModelMetadataRequest, context).
        credentials: those of the server, for TLS.

    Yields:
        Its address, localhost:PORT.
    """
    servicer = prediction_service_pb2_grpc.PredictionServiceServicer()
    if predict:
        servicer.Predict = predict
    if metadata:
        servicer.GetModelMetadata = metadata
    server = grpc.server(ThreadPoolExecutor(8))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(servicer, server)
    listen = server.add_insecure_port if credentials is None else server.add_secure_port
    port = listen("localhost:0", *([] if credentials is None else [credentials]))
    server.start()
    try:
        yield f"localhost:{port}"
    finally:
        server.stop(grace=None).wait()


def described(signatures):
    """Returns a function that answers GetModelMetadata with {name: SignatureDef}."""

    def metadata(request, context):
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.metadata["signature_def"].Pack(get_model_metadata_pb2.SignatureDefMap(signature_def=signatures))
        return response

    return metadata
