"""Speed and memory of the training pipeline: `python -m benchmarks.data`.

Images a second from files to batches of 8, from COCO's JSON and from TFRecord files, beside the input pipeline of Model
Garden's Mask R-CNN reading the same TFRecord files. Every case runs in a process of its own that is confined to one
core or two. Then the memory of this process is printed as batches go by.

Ours resizes to a short side of 600 and pads to the batch's largest image. Model Garden's has one size for all images,
640 x 832 here, into which they are fitted: that is what a photograph of 3:4 needs, and portraits become smaller than
ours. It also finds the anchors to learn from, which ours leaves to the training step; nothing is said here of how long
that takes.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import tensorflow as tf
from pycocotools import mask as coco_mask
from tqdm import tqdm

from benchmarks.memory import memory_of
from fcis_tf.command_line import run_program
from fcis_tf.config import DataConfig, DigitsDataset
from fcis_tf.data import load_dataset, training_batches
from fcis_tf.data.mask_crops import encode_runs
from fcis_tf.errors import UserError

COCO100 = Path("../shared/data/coco100")
BATCH = 8
# Sides are multiples of the feature pyramid's largest stride.
PEER_SIZE = (640, 832)
OURS, PEER = "fcis_tf", "Model Garden"
CASES = [(OURS, "coco"), (OURS, "tfrecord"), (PEER, "tfrecord")]


def main():
    parser = argparse.ArgumentParser(description="Measures the speed and the memory of the training pipeline.")
    parser.add_argument("--images", type=Path, default=COCO100 / "images", help="folder of images [%(default)s]")
    parser.add_argument(
        "--annotations", type=Path, default=COCO100 / "instances.json", help="in COCO's format [%(default)s]"
    )
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2], help="[%(default)s]")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each case is measured [%(default)s]")
    parser.add_argument("--runs", type=int, default=3, help="how often; the median counts [%(default)s]")
    parser.add_argument("--steps", type=int, default=10_000, help="batches to watch the memory for [%(default)s]")
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    if not arguments.annotations.is_file():
        raise UserError(f"--annotations {arguments.annotations}: no such file")
    with tempfile.TemporaryDirectory() as folder:
        records = write_records(arguments.images, arguments.annotations, Path(folder))
        data_sets = {
            "coco": {"format": "coco", "images": arguments.images, "annotations": arguments.annotations},
            "tfrecord": {"format": "tfrecord", "records": records, "categories": arguments.annotations},
        }
        speeds = measure_speeds(data_sets, arguments)
        print_speeds(speeds)
        memory = measure_memory(data_sets["coco"], arguments.steps)
        print_memory(memory)
    if arguments.json:
        speeds = [{"pipeline": p, "format": f, "cores": c, **values} for (p, f, c), values in speeds.items()]
        Path(arguments.json).write_text(json.dumps({"speeds": speeds, "memory_mb": memory}, indent=1) + "\n")


def write_records(images, annotations, folder):
    """Writes a data set to a TFRecord file by Model Garden's program; returns the file's path."""
    from official.vision.data.create_coco_tf_record import create_tf_example

    content = json.loads(annotations.read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    instances = defaultdict(list)
    for annotation in content["annotations"]:
        instances[annotation["image_id"]].append(_without_compression(annotation))
    path = str(folder / "train.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for image in tqdm(content["images"], "write records", leave=False):
            found = instances[image["id"]]
            example, _ = create_tf_example(image, [str(images)], None, found, names, include_masks=True)
            writer.write(example.SerializeToString())
    return path


def _without_compression(annotation):
    """Turns compressed run lengths, which Model Garden's program doesn't take, into a list of lengths."""
    segmentation = annotation["segmentation"]
    if isinstance(segmentation, dict) and not isinstance(segmentation["counts"], list):
        runs = encode_runs(coco_mask.decode(segmentation).T).tolist()
        segmentation = {"size": segmentation["size"], "counts": runs}
    # Of an instance that isn't a crowd it expects several parts.
    is_whole = isinstance(segmentation, dict) and not annotation["iscrowd"]
    return annotation | {"segmentation": [segmentation] if is_whole else segmentation}


def measure_speeds(data_sets, arguments):
    """Returns {(pipeline, format, cores): images a second and pixels an image}; runs of the cases take turns."""
    cases = [(*case, cores) for cores in arguments.cores for case in CASES]
    found = defaultdict(list)
    with tqdm(total=len(cases) * arguments.runs, desc="measure", unit=" cases") as bar:
        for _ in range(arguments.runs):
            for pipeline, data_format, cores in cases:
                job = pipeline, data_sets[data_format], cores, arguments.seconds
                # A process has its cores for life, as TensorFlow makes its threads but once.
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    found[pipeline, data_format, cores].append(pool.apply(measure_speed, job))
                bar.update()
    return {
        case: {name: statistics.median(run[name] for run in runs) for name in runs[0]} for case, runs in found.items()
    }


def measure_speed(pipeline, data_set, cores, seconds):
    """Confines this process to so many cores and measures a pipeline; returns its figures."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    batches = our_batches(data_set) if pipeline == OURS else peer_batches(data_set["records"])
    options = tf.data.Options()
    options.threading.private_threadpool_size = cores
    batches = iter(batches.with_options(options))
    _run_for(batches, seconds / 2)
    return _run_for(batches, seconds)


def _run_for(batches, seconds):
    start, count, pixels = time.perf_counter(), 0, 0
    while time.perf_counter() - start < seconds:
        images = next(batches)
        count += images.shape[0]
        pixels += np.prod(images.shape[:3])
    return {"images_per_second": count / (time.perf_counter() - start), "pixels_per_image": int(pixels) / count}


def our_batches(data_set):
    """Returns a dataset of the images [8, H, W, 3] of our batches; all the rest is made too."""
    unused = DigitsDataset(format="digits", split="eval", scenes=1)
    config = DataConfig.model_validate({"train": data_set, "eval": unused})
    batches = training_batches(load_dataset(config, "train"), config, BATCH, seed=0)
    return batches.map(lambda batch: batch["images"])


def peer_batches(records):
    """Returns a dataset of the images of Model Garden's batches, as its Mask R-CNN's task makes them."""
    from official.vision.configs import maskrcnn
    from official.vision.tasks.maskrcnn import MaskRCNNTask

    config = maskrcnn.MaskRCNNTask(model=maskrcnn.MaskRCNN(input_size=[*PEER_SIZE, 3], include_mask=True))
    data = maskrcnn.DataConfig(
        input_path=records,
        is_training=True,
        global_batch_size=BATCH,
        dtype="float32",
        parser=maskrcnn.Parser(aug_rand_hflip=True),
        # Its default, 10,000, would first read a hundred images a hundred times.
        shuffle_buffer_size=100,
    )
    return MaskRCNNTask(config).build_inputs(data).map(lambda images, labels: images)


def measure_memory(data_set, steps):
    """Returns {batches so far: resident megabytes of this process}, about ten entries."""
    batches, memory = iter(our_batches(data_set)), {}
    every = max(steps // 10, 1)
    for step in tqdm(range(1, steps + 1), "watch the memory", unit=" batches"):
        next(batches)
        if step == min(100, every) or step % every == 0:
            memory[step] = round(memory_of()["VmRSS"])
    return memory


def print_speeds(speeds):
    print(f"\nImages a second, batches of {BATCH}\n")
    print(f"{'cores':<7}{'pipeline':14}{'format':10}{'images/s':>10}{'pixels/image':>14}{'ratio':>8}")
    for (pipeline, data_format, cores), values in speeds.items():
        ratio = values["images_per_second"] / speeds[PEER, "tfrecord", cores]["images_per_second"]
        figures = f"{values['images_per_second']:10.1f}{values['pixels_per_image']:14,.0f}{ratio:8.2f}"
        print(f"{cores:<7}{pipeline:14}{data_format:10}{figures}")


def print_memory(memory):
    print("\nResident memory, format coco\n")
    for step, megabytes in memory.items():
        print(f"{step:8} batches {megabytes:8} MB")


if __name__ == "__main__":
    run_program(main)
