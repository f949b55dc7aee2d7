"""MXNet's side of `benchmarks.assemble`: run by the Python that PEER_PYTHON names, on Python 3.8 and MXNet 1.9.1.

Reads a JSON description of the cases from standard input, and prints the seconds of each as JSON.
"""

import json
import statistics
import sys
import time

import mxnet as mx
import numpy as np


def measure(case):
    """Returns the median seconds of a forward pass, and of the backward pass after one."""
    depth = 2 * (case["classes"] + 1)
    k, pooled_size, rois = case["group_size"], case["pooled_size"], len(case["boxes"])
    maps = mx.nd.random.normal(shape=(1, depth * k * k, case["height"], case["width"]))
    boxes = np.array(case["boxes"], np.float32)
    # (image, xmin, ymin, xmax, ymax), the last two of them inclusive.
    boxes = np.concatenate([np.zeros((rois, 1), np.float32), boxes[:, [1, 0, 3, 2]] - [0, 0, 1, 1]], axis=1)
    boxes = mx.nd.array(boxes)
    maps.attach_grad()
    forward, backward = [], []
    for _ in range(case["runs"] + 1):
        start = time.perf_counter()
        with mx.autograd.record():
            pooled = mx.nd.contrib.PSROIPooling(
                maps, boxes, spatial_scale=1 / case["stride"], output_dim=depth, pooled_size=pooled_size, group_size=k
            )
            pairs = pooled.reshape((rois, 2, depth // 2, pooled_size, pooled_size))
            logits = pairs.max(axis=1).mean(axis=(2, 3))
            masks = pairs[:, :, 1]
            total = logits.sum() + masks.sum()
        total.wait_to_read()
        middle = time.perf_counter()
        total.backward()
        maps.grad.wait_to_read()
        forward.append(middle - start)
        backward.append(time.perf_counter() - middle)
    return statistics.median(forward[1:]), statistics.median(backward[1:])


if __name__ == "__main__":
    print(json.dumps([measure(case) for case in json.load(sys.stdin)]))
