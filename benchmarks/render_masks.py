"""Time of rendering masks, and of mask voting as a whole: `python -m benchmarks.render_masks`.

Native against portable operators: 100 detections among 600 regions of 21 x 21 cells in an image of 600 x 1000, eight
voters each. Where PEER_PYTHON names a Python that has ChainerCV, its mask voting runs on the same regions.
"""

import argparse
import json
import os
import statistics
import subprocess
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from fcis_tf.command_line import run_program
from fcis_tf.inference import mask_voting
from fcis_tf.ops import render_box_masks, render_masks, use_implementation

HEIGHT, WIDTH, CELLS, CLASSES = 600, 1000, 21, 80
CROWDS, CROWD, DETECTIONS = 75, 8, 100
MASK_SIZE = 28
LIMITS = {"score_threshold": 1e-3, "nms_threshold": 0.3, "merge_threshold": 0.5, "binary_threshold": 0.4}
IMPLEMENTATIONS = ("native", "portable")


def main():
    parser = argparse.ArgumentParser(description="Times the rendering of masks.")
    parser.add_argument("--runs", type=int, default=20, help="how often each case runs [%(default)s]")
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    masks, boxes, class_probs, votes = draw_regions()
    functions = {}
    for implementation in IMPLEMENTATIONS:
        with use_implementation(implementation):
            for name, function in make_functions(masks, boxes, class_probs, votes).items():
                functions[name, implementation] = function
    seconds = time_in_turns(functions, arguments.runs)
    figures = {"detections_of_mask_voting": len(functions["mask voting", "native"]()[1])}
    for (name, implementation), value in seconds.items():
        figures.setdefault(name, {})[implementation] = value
    figures["mask voting, thresholds first"] |= time_chainercv(masks, boxes, class_probs, arguments.runs)
    print_table(figures)
    print(f"\n{json.dumps(figures)}")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(figures) + "\n")


def draw_regions():
    """Returns regions of interest in crowds, such as a network gives them: round things of all sizes.

    Returns:
        masks [R, P, P], boxes [R, 4], class_probs [R, C + 1] and votes [D, R], float32.
    """
    rng = np.random.default_rng(0)
    image, regions = np.array([HEIGHT, WIDTH]), CROWDS * CROWD
    crowds = np.arange(regions) % CROWDS
    sides = np.minimum(150 * np.exp(rng.normal(0, 0.5, (CROWDS, 2))), 0.7 * image)
    centres = rng.uniform(sides / 2, image - sides / 2)
    boxes = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)[crowds]
    boxes = np.clip(boxes + rng.normal(0, 0.05, boxes.shape) * np.tile(sides, 2)[crowds], 0, np.tile(image, 2))
    y, x = np.mgrid[-1 : 1 : CELLS * 1j, -1 : 1 : CELLS * 1j]
    masks = 1 / (1 + np.exp(-4 * (1 - y**2 - x**2) + rng.normal(0, 0.4, (regions, CELLS, CELLS))))
    logits = rng.normal(0, 1, (regions, CLASSES + 1))
    logits[np.arange(regions), 1 + crowds % CLASSES] += 6
    logits[np.arange(regions), 1 + (crowds + 40) % CLASSES] += 4
    class_probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    votes = (crowds == np.arange(DETECTIONS)[:, None] % CROWDS) * rng.uniform(0.2, 1, (DETECTIONS, regions))
    votes /= votes.sum(axis=1, keepdims=True)
    return [array.astype(np.float32) for array in (masks, boxes, class_probs, votes)]


def make_functions(masks, boxes, class_probs, votes):
    """Returns what is measured: compiled functions without arguments, by name; they are traced here."""
    masks, boxes, class_probs, votes = map(tf.constant, (masks, boxes, class_probs, votes))
    size = tf.constant([HEIGHT, WIDTH])
    regions = [tf.TensorSpec(array.shape) for array in (masks, boxes)]
    rendering = [*regions, tf.TensorSpec(votes.shape)]
    voting = [*regions, tf.TensorSpec(class_probs.shape)]
    functions = {}
    for suffix, threshold_first in (("", False), (", thresholds first", True)):
        how = {"binary_threshold": LIMITS["binary_threshold"], "threshold_first": threshold_first}

        @tf.function(input_signature=rendering)
        def full(masks, boxes, votes, how=how):
            return render_masks(masks, boxes, votes, size, **how)

        @tf.function(input_signature=rendering)
        def within_boxes(masks, boxes, votes, how=how):
            return render_box_masks(masks, boxes, votes, size, MASK_SIZE, **how)

        @tf.function(input_signature=voting)
        def vote(masks, boxes, class_probs, threshold_first=threshold_first):
            limits = LIMITS | {"max_detections": DETECTIONS, "threshold_first": threshold_first}
            return mask_voting(masks, boxes, class_probs, size, **limits)

        for name, function, last in (
            ("render_masks", full, votes),
            ("render_box_masks", within_boxes, votes),
            ("mask voting", vote, class_probs),
        ):
            graph = function.get_concrete_function()
            functions[name + suffix] = lambda graph=graph, last=last: graph(masks, boxes, last)
    return functions


def time_in_turns(functions, runs):
    """Returns the median seconds of each function; they run in turns, so that all meet the same machine."""
    seconds = {key: [] for key in functions}
    for run in tqdm(range(runs + 2), desc="render", unit=" rounds"):
        for key, function in functions.items():
            start = time.perf_counter()
            function()
            # The first runs find no memory in the caches yet.
            if run >= 2:
                seconds[key].append(time.perf_counter() - start)
    return {key: statistics.median(values) for key, values in seconds.items()}


def time_chainercv(masks, boxes, class_probs, runs):
    """Returns {"chainercv": seconds} of its mask voting, nothing where there is no ChainerCV."""
    python = os.environ.get("PEER_PYTHON")
    if not python:
        return {}
    case = {"masks": masks.tolist(), "boxes": boxes.tolist(), "class_probs": class_probs.tolist()}
    case |= {"size": [HEIGHT, WIDTH], "limits": [*LIMITS.values()], "max_detections": DETECTIONS, "runs": runs}
    script = Path(__file__).with_name("chainercv_mask_voting.py")
    done = subprocess.run([python, script], input=json.dumps(case), capture_output=True, text=True, check=True)
    return {"chainercv": json.loads(done.stdout)}


def print_table(figures):
    detections = figures["detections_of_mask_voting"]
    print(f"\n{DETECTIONS} detections, {CROWD} voters each, among {CROWDS * CROWD} regions of {CELLS} x {CELLS} cells")
    print(f"image of {HEIGHT} x {WIDTH}; milliseconds; {os.cpu_count()} cores")
    print(f"box masks of {MASK_SIZE} x {MASK_SIZE}; mask voting among {CLASSES} classes finds {detections}\n")
    print(f"{'':36}{'native':>8}{'portable':>10}{'ratio':>7}{'chainercv':>11}{'ratio':>7}")
    for name, times in figures.items():
        if name == "detections_of_mask_voting":
            continue
        line = f"{name:36}{1e3 * times['native']:8.1f}"
        for peer, width in (("portable", 10), ("chainercv", 11)):
            if peer in times:
                line += f"{1e3 * times[peer]:{width}.1f}{times[peer] / times['native']:7.1f}"
        print(line)


if __name__ == "__main__":
    run_program(main)
