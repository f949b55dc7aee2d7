"""A server under load: `python -m benchmarks.serving models/fcis --images FOLDER`.

Serves each of the given exported models by the stand-in for TensorFlow Serving (serving/stand_in.py, which is not
TensorFlow Serving) and asks it with many clients at once, one request in twenty being malformed. Checked are that every
good request is answered, that every malformed one is INVALID_ARGUMENT, and that the server's memory does not grow
once it has settled: TensorFlow keeps the memory of the worst moment so far, to use it again.
"""

import argparse
import io
import itertools
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from benchmarks.memory import memory_of
from fcis_tf.command_line import run_program
from fcis_tf.errors import UserError
from serving.prediction_client import PredictionClient, PredictionError
from serving.running_stand_in import running_stand_in

MALFORMED_EVERY = 20
LARGEST_GROWTH = 0.05
# More than any photograph has; as a file it is small.
TOO_LARGE = (12_000, 12_000)


def main():
    parser = argparse.ArgumentParser(description="Loads a server with good and malformed requests, and measures it.")
    parser.add_argument("models", nargs="+", metavar="MODEL_BASE_PATH", type=Path, help="directory of versions")
    parser.add_argument("--images", required=True, type=Path, help="directory of photographs to send, JPEG or PNG")
    parser.add_argument("--requests", type=int, default=1000, help="[%(default)s]")
    parser.add_argument("--clients", type=int, default=16, help="how many ask at once [%(default)s]")
    parser.add_argument(
        "--settled", type=int, default=100, help="memory may not grow after so many requests [%(default)s]"
    )
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    if not 1 <= arguments.settled < arguments.requests or arguments.clients < 1:
        raise UserError("expected --clients of at least 1, and --settled from 1 to less than --requests")
    requests = make_requests(read_images(arguments.images), arguments.requests)
    figures = {}
    for base_path in arguments.models:
        figures[str(base_path)] = load_server(base_path, requests, arguments.clients, arguments.settled)
    print_table(figures)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(figures, indent=1) + "\n")
    problems = [f"{path}: {problem}" for path, row in figures.items() for problem in row["problems"]]
    print("\n".join(problems), file=sys.stderr)
    return 1 if problems else 0


def read_images(folder):
    """Returns the contents of a directory's JPEG and PNG files."""
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not paths:
        raise UserError(f"--images {folder}: expected a directory with JPEG or PNG files")
    return [path.read_bytes() for path in paths]


def make_requests(images, count):
    """Returns [(content, whether it is good)], evenly mixed: every twentieth is malformed, in one of three ways."""
    truncated = _encode(np.zeros((600, 800, 3), np.uint8), "JPEG")[:1000]
    too_large = _encode(np.zeros(TOO_LARGE, np.uint8), "PNG")
    malformed, good = itertools.cycle([b"no image", truncated, too_large]), itertools.cycle(images)
    return [
        (next(malformed), False) if number % MALFORMED_EVERY == 0 else (next(good), True)
        for number in range(1, count + 1)
    ]


def load_server(base_path, requests, clients, settled):
    """Serves a model by a stand-in of its own, and returns the figures of all requests."""
    try:
        with running_stand_in(base_path, "--threads", clients) as (address, process_id):
            with PredictionClient(address, "fcis", timeout=3600.0, retries=0) as client:
                client.check_model()
                return measure(client, process_id, requests, clients, settled)
    except RuntimeError as error:
        raise UserError(str(error)) from None


def measure(client, process_id, requests, clients, settled):
    """Sends all requests to a server, and returns the figures."""
    latencies, wrong, memory = [], [], []
    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        answers = pool.map(lambda request: _ask(client, *request), requests)
        for number, (good, seconds, outcome) in enumerate(tqdm(answers, "serve", len(requests), unit=" requests"), 1):
            if outcome != ("OK" if good else "INVALID_ARGUMENT"):
                wrong.append(f"a {'good' if good else 'malformed'} request was answered {outcome}")
            if good:
                latencies.append(seconds)
            if number % settled == 0:
                memory.append(memory_of(process_id)["VmRSS"])
    duration = time.perf_counter() - start
    at_end = memory_of(process_id)
    growth = at_end["VmRSS"] / memory[0] - 1
    if growth > LARGEST_GROWTH:
        wrong.append(f"the server's memory grew by {growth:.1%} after its first {settled} requests")
    return {
        "requests": len(requests),
        "malformed": len(requests) - len(latencies),
        "clients": clients,
        "latency_ms": {f"p{rank}": 1000 * float(np.percentile(latencies, rank)) for rank in (50, 90, 99)},
        "requests_per_second": len(requests) / duration,
        f"memory_mb_every_{settled}": memory,
        "memory_settled_mb": memory[0],
        "memory_end_mb": at_end["VmRSS"],
        "memory_peak_mb": at_end["VmHWM"],
        "memory_growth": growth,
        "problems": wrong,
    }


def _ask(client, content, good):
    """Returns (good, seconds, the code of the answer)."""
    start = time.perf_counter()
    try:
        client.predict(content)
        outcome = "OK"
    except PredictionError as error:
        outcome = error.code.name
    return good, time.perf_counter() - start, outcome


def _encode(image, format):
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, format)
    return encoded.getvalue()


def print_table(figures):
    columns = ("requests", "malformed", "p50 ms", "p90 ms", "p99 ms", "per second", "MB early", "MB at end", "growth")
    print(f"\n{'model':32}" + "".join(f"{column:>11}" for column in columns))
    for path, row in figures.items():
        cells = [row["requests"], row["malformed"], *(f"{value:.0f}" for value in row["latency_ms"].values())]
        cells += [f"{row[name]:.1f}" for name in ("requests_per_second", "memory_settled_mb", "memory_end_mb")]
        cells.append(f"{row['memory_growth']:.1%}")
        print(f"{path:32}" + "".join(f"{cell:>11}" for cell in cells))


if __name__ == "__main__":
    run_program(main)
