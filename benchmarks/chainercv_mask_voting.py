"""ChainerCV's side of `benchmarks.render_masks`: run by the Python that PEER_PYTHON names, on Python 3.8.

Reads a JSON description of the case from standard input, and prints the median seconds as JSON.
"""

import json
import statistics
import sys
import time

import numpy as np
from chainercv.experimental.links.model.fcis.utils.mask_voting import mask_voting


def measure(case):
    """Returns the median seconds of mask voting."""
    arrays = [np.array(case[name], np.float32) for name in ("masks", "boxes", "class_probs")]
    seconds = []
    for _ in range(case["runs"] + 1):
        start = time.perf_counter()
        mask_voting(*arrays, tuple(case["size"]), *case["limits"], limit=case["max_detections"])
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


if __name__ == "__main__":
    print(json.dumps(measure(json.load(sys.stdin))))
