"""An exported network, served by the stand-in, asked by the client."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from fcis_tf.errors import UserError
from fcis_tf.export import ServingOptions, export_savedmodel
from fcis_tf.inference import Predictor
from fcis_tf.ops import use_implementation
from serving.prediction_client import PredictionClient
from serving.remote_predictor import RemotePredictor
from serving.running_stand_in import running_stand_in
from tests.export.confident_model import confident_model
from tests.export.image_files import picture
from tests.tiny_config import tiny_config

SIZES = [(64, 96), (96, 64), (50, 41), (120, 180)]


@pytest.fixture(scope="module")
def trained():
    return confident_model(tiny_config(inference={"score_threshold": 0.3}), 3, picture(64, 96))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pictures")
    paths = [directory / f"{i}.png" for i in range(len(SIZES))]
    for path, size in zip(paths, SIZES, strict=True):
        Image.fromarray(picture(*size)).save(path)
    return paths


@pytest.fixture(scope="module")
def expected(trained, files):
    """What the network finds in each file."""
    predictor = Predictor(trained.model, trained.config, freeze=True)
    with use_implementation("portable"):
        expected = {path: predictor.predict_file(path)[1] for path in files}
    assert sum(len(instances.scores) for instances in expected.values()) >= 5
    return expected


@pytest.mark.parametrize("max_batch_size", [1, 4])
def test_the_client_gets_what_the_network_finds_and_malformed_requests_fail_alone(
    trained, files, expected, tmp_path, max_batch_size
):
    export_savedmodel(trained, ServingOptions(max_batch_size=max_batch_size), tmp_path / "fcis" / "1")
    malformed = tmp_path / "malformed.png"
    malformed.write_bytes(files[0].read_bytes()[:100])
    requests = 3 * [*files, malformed]
    with running_stand_in(tmp_path / "fcis") as (address, _), PredictionClient(address, "fcis") as client:
        client.check_model()
        predictor = RemotePredictor(client)

        def ask(path):
            try:
                return predictor.predict_file(path)
            except UserError as error:
                return str(error)

        with ThreadPoolExecutor(len(requests)) as pool:
            answers = list(pool.map(ask, requests))

    for path, answer in zip(requests, answers, strict=True):
        if path == malformed:
            assert answer.startswith(f"{malformed}: INVALID_ARGUMENT: image_bytes[0]: a damaged or incomplete file")
        elif max_batch_size == 1:
            # On the canvas of a batch borders are wider, and the network of random weights finds other things.
            check_same(answer[1], expected[path])
        else:
            check_same(answer[1], answers[requests.index(path)][1])


def check_same(found, expected):
    np.testing.assert_array_equal(found.classes, expected.classes)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.01)
    both, either = ((found.masks & expected.masks), (found.masks | expected.masks))
    assert (both.sum(axis=(1, 2)) >= 0.9 * either.sum(axis=(1, 2))).all()
