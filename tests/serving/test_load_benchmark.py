"""The benchmark of a server under load, on a few requests."""

import numpy as np
import pytest

from benchmarks import serving as benchmark
from serving.prediction_client import PredictionClient
from tests.serving.photographs import bright_rectangle, encode


@pytest.fixture(autouse=True)
def smaller_images(monkeypatch):
    monkeypatch.setattr(benchmark, "TOO_LARGE", (1001, 1000))


def measure(stand_in, requests, **arguments):
    address, process_id = stand_in
    with PredictionClient(address, "fcis") as client:
        return benchmark.measure(client, process_id, requests, **arguments)


def test_every_request_is_answered_as_it_should(stand_in):
    requests = benchmark.make_requests([encode(bright_rectangle()), encode(np.zeros((50, 40, 3), np.uint8))], 60)
    figures = measure(stand_in, requests, clients=4, settled=30)
    assert (figures["requests"], figures["malformed"]) == (60, 3)
    # So few requests are too few for its memory.
    assert [problem for problem in figures["problems"] if "memory" not in problem] == []
    assert 0 < figures["latency_ms"]["p50"] <= figures["latency_ms"]["p99"]
    assert 0 < figures["memory_end_mb"] <= figures["memory_peak_mb"]
    benchmark.print_table({"fcis": figures})


def test_wrong_answers_are_problems(stand_in):
    requests = [(encode(bright_rectangle()), False), (b"no image", True)]
    assert measure(stand_in, requests, clients=1, settled=1)["problems"][:2] == [
        "a malformed request was answered OK",
        "a good request was answered INVALID_ARGUMENT",
    ]
