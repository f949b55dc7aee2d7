"""Time and memory of assembling RoIs: `python -m benchmarks.assemble`.

Native against portable operators, on score maps of 38 x 63 cells (an image of 600 x 1000), k = 7, P = 21. Where
PEER_PYTHON names a Python that has MXNet, its PSROIPooling, max and mean run in the same call.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from fcis_tf.command_line import run_program
from fcis_tf.ops import ps_assemble

HEIGHT, WIDTH, STRIDE = 38, 63, 16
SIZES = {"group_size": 7, "pooled_size": 21, "stride": STRIDE}
CLASSES, ROIS = (20, 80), (300, 600)
MANY_ROIS = (250, 500, 1000, 2000)
IMPLEMENTATIONS = ("native", "portable")


def main():
    parser = argparse.ArgumentParser(description="Times the assembly of class and mask logits.")
    parser.add_argument("--runs", type=int, default=10, help="how often each case runs [%(default)s]")
    parser.add_argument("--json", help="also write the figures to this file")
    parser.add_argument("--memory", nargs=3, metavar=("IMPLEMENTATION", "CLASSES", "ROIS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        implementation, classes, rois = arguments.memory
        print(peak_memory(implementation, int(classes), int(rois)))
        return
    cases = [(classes, rois) for classes in CLASSES for rois in ROIS]
    bandwidth = copy_bandwidth()
    bar = tqdm(desc="assemble", total=len(IMPLEMENTATIONS) * len(cases) + len(MANY_ROIS) + 1, unit=" cases")
    rows = []
    for classes, rois in cases:
        moved = bytes_moved(classes, draw_boxes(rois))
        row = {"classes": classes, "rois": rois, "bytes": moved}
        for implementation in IMPLEMENTATIONS:
            times = time_case(implementation, classes, rois, arguments.runs)
            row[implementation] = {
                **times,
                "of_copy_bandwidth": moved / times["forward"] / bandwidth,
                "additional_memory": peak_memory_in_new_process(implementation, classes, rois),
            }
            bar.update()
        rows.append(row)
    growth = {}
    for rois in MANY_ROIS:
        growth[rois] = time_case("native", 80, rois, arguments.runs)
        bar.update()
    for row, peer in zip(rows, time_mxnet(cases, arguments.runs), strict=False):
        row["mxnet"] = dict(zip(("forward", "backward"), peer, strict=True))
    bar.update()
    bar.close()
    print_tables(rows, growth, bandwidth)
    figures = json.dumps({"copy_bandwidth": bandwidth, "cases": rows, "native_80_classes_by_rois": growth})
    print(f"\n{figures}")
    if arguments.json:
        Path(arguments.json).write_text(figures + "\n")


def draw_boxes(count):
    """Returns [count, 4] float32 boxes such as proposals are: of all sizes, clipped to the image."""
    rng = np.random.default_rng(0)
    image = np.array([HEIGHT, WIDTH]) * STRIDE
    centers = rng.uniform(0, image, (count, 2))
    sides = np.exp(rng.uniform(np.log(32), np.log(500), (count, 2)))
    low, high = np.maximum(centers - sides / 2, 0), np.minimum(centers + sides / 2, image)
    return np.concatenate([low, high], axis=1).astype(np.float32)


def bytes_moved(classes, boxes):
    """Returns how many bytes one forward pass reads from float32 score maps, and writes."""
    cells = np.ones(len(boxes), np.int64)
    for low, high, extent in ((boxes[:, 0], boxes[:, 2], HEIGHT), (boxes[:, 1], boxes[:, 3], WIDTH)):
        low, high = np.round(low)[:, None] / STRIDE, np.round(high)[:, None] / STRIDE
        side = np.maximum(high - low, 0.1) / SIZES["pooled_size"]
        index = np.arange(SIZES["pooled_size"])
        begin = np.clip(np.floor(index * side + low), 0, extent)
        end = np.clip(np.ceil((index + 1) * side + low), 0, extent)
        cells *= (end - begin).sum(axis=1).astype(np.int64)
    written = len(boxes) * (classes + 1 + 2 * SIZES["pooled_size"] ** 2)
    return int(4 * (cells.sum() * 2 * (classes + 1) + written))


def copy_bandwidth():
    """Returns bytes per second, read and written, that as many threads as there are cores copy together."""
    threads = os.cpu_count()
    sources = [np.ones(2**26 // threads, np.float32) for _ in range(threads)]
    targets = [np.empty_like(source) for source in sources]

    def copy_all():
        workers = [threading.Thread(target=np.copyto, args=pair) for pair in zip(targets, sources, strict=True)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    return 2 * sum(source.nbytes for source in sources) / _median_seconds(copy_all, runs=5)


def time_case(implementation, classes, rois, runs):
    """Returns median seconds: of a forward pass for given labels and for the best class, and what backward adds."""
    score_maps = tf.random.stateless_normal([1, HEIGHT, WIDTH, 49 * 2 * (classes + 1)], [0, 0])
    forward, best_class = (make_forward(implementation, rois, given) for given in (True, False))

    @tf.function
    def both(score_maps):
        with tf.GradientTape() as tape:
            tape.watch(score_maps)
            class_logits, mask_logits = forward(score_maps)
            total = tf.reduce_sum(class_logits) + tf.reduce_sum(mask_logits)
        return tape.gradient(total, score_maps)

    forward_seconds = _median_seconds(lambda: forward(score_maps), runs)
    return {
        "forward": forward_seconds,
        "best_class": _median_seconds(lambda: best_class(score_maps), runs),
        "backward": _median_seconds(lambda: both(score_maps), runs) - forward_seconds,
    }


def make_forward(implementation, rois, given_labels=True):
    """Returns a compiled function of score maps that assembles RoIs, for given labels or each one's best class."""
    labels = tf.ones([rois], tf.int32) if given_labels else None
    arguments = tf.constant(draw_boxes(rois)), tf.zeros([rois], tf.int32), labels

    @tf.function
    def forward(score_maps):
        return ps_assemble(score_maps, *arguments, **SIZES, implementation=implementation)

    return forward


def peak_memory(implementation, classes, rois):
    """Returns by how many bytes a forward pass raises the peak of this process, which must be a new one."""
    score_maps = tf.random.stateless_normal([1, HEIGHT, WIDTH, 49 * 2 * (classes + 1)], [0, 0])
    # Tracing and TensorFlow's own start are not counted.
    make_forward(implementation, 1)(score_maps)
    forward = make_forward(implementation, rois).get_concrete_function(score_maps)
    # Touches as much as the process ever had, so that only what exceeds it raises the peak.
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    current = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    filler = np.ones(max(before - current, 0), np.uint8)
    forward(score_maps)
    del filler
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before


def peak_memory_in_new_process(*case):
    command = [sys.executable, "-m", "benchmarks.assemble", "--memory", *map(str, case)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def time_mxnet(cases, runs):
    """Returns (forward, backward) seconds of MXNet's operators for all cases, nothing where there is no MXNet."""
    python = os.environ.get("PEER_PYTHON")
    if not python:
        return []
    described = [
        {"classes": c, "boxes": draw_boxes(r).tolist(), "height": HEIGHT, "width": WIDTH, "runs": runs, **SIZES}
        for c, r in cases
    ]
    script = Path(__file__).with_name("mxnet_assemble.py")
    done = subprocess.run([python, script], input=json.dumps(described), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def print_tables(rows, growth, bandwidth):
    print(f"\nscore maps of {HEIGHT} x {WIDTH}, k = 7, P = 21, float32; milliseconds; {os.cpu_count()} cores")
    print(f"copying memory: {bandwidth / 1e9:.1f} GB/s, read and written\n")
    columns = ("classes", "RoIs", "", "forward", "ratio", "best class", "backward", "ratio")
    columns += ("MB moved", "of copy", "peak MB")
    print("{:>7}{:>6}  {:10}{:>9}{:>7}{:>12}{:>10}{:>7}{:>10}{:>9}{:>9}".format(*columns))
    for row in rows:
        for name in (*IMPLEMENTATIONS, "mxnet"):
            if name in row:
                print(_line(row, name))
    print("\nnative, 80 classes   RoIs   forward   backward   microseconds a RoI, forward")
    for rois, times in growth.items():
        forward, backward = times["forward"], times["backward"]
        print(f"{rois:25}{1e3 * forward:10.1f}{1e3 * backward:11.1f}{1e6 * forward / rois:15.1f}")


def _line(row, name):
    times, native = row[name], row["native"]
    best_class = f"{1e3 * times['best_class']:12.1f}" if "best_class" in times else " " * 12
    line = f"{row['classes']:7}{row['rois']:6}  {name:10}"
    line += f"{1e3 * times['forward']:9.1f}{times['forward'] / native['forward']:7.1f}{best_class}"
    line += f"{1e3 * times['backward']:10.1f}{times['backward'] / native['backward']:7.1f}"
    if "additional_memory" in times:
        share, memory = times["of_copy_bandwidth"], times["additional_memory"]
        line += f"{row['bytes'] / 1e6:10.0f}{share:9.2f}{memory / 1e6:9.1f}"
    return line


def _median_seconds(function, runs):
    times = []
    for run in range(runs + 2):
        start = time.perf_counter()
        function()
        # The first runs trace and compile.
        if run >= 2:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    run_program(main)
