"""Time from a decoded image to final masks: `python -m benchmarks.inference`.

FCIS with a ResNet-101 and 80 classes on an image of 600 x 1000, beside Model Garden's Mask R-CNN with a ResNet-101-FPN
on one of 640 x 1024, in the same run; both with random weights, such that 100 detections come through. FCIS ends with
masks at the image's resolution, Mask R-CNN with masks of 28 x 28 in the boxes.

How well bfloat16 agrees with float32 cannot be seen here: a network of random weights enlarges rounding errors from
layer to layer, a trained one does not.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks.mask_rcnn import HEIGHT as PEER_HEIGHT
from benchmarks.mask_rcnn import WIDTH as PEER_WIDTH
from benchmarks.mask_rcnn import make_mask_rcnn
from benchmarks.random_network import make_network
from benchmarks.scenes import CLASSES, make_image
from benchmarks.timer import Timer
from fcis_tf.command_line import run_program
from fcis_tf.config import load_config
from fcis_tf.data import pad_image, prepare_image
from fcis_tf.inference import Predictor, detect, frozen_weights, render_instances, score_regions
from fcis_tf.models.anchors import make_anchors
from fcis_tf.ops import use_implementation

CONFIG = Path(__file__).parent.parent / "configs" / "coco.yaml"
HEIGHT, WIDTH = 600, 1000
PRECISIONS = ("float32", "mixed_bfloat16")
PER_ROI = ("first pass", "second pass", "selection", "mask voting")


def main():
    parser = argparse.ArgumentParser(description="Times inference, by stage, beside Mask R-CNN.")
    parser.add_argument("--runs", type=int, default=10, help="how often each part runs [%(default)s]")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()

    image = make_image(HEIGHT, WIDTH)
    configs = {precision: load_config(CONFIG, [f"model.precision={precision}"]) for precision in PRECISIONS}
    models = make_models(configs, image)
    photograph = tf.random.stateless_normal([1, PEER_HEIGHT, PEER_WIDTH, 3], [0, 0])
    wholes, stages, peers = {}, {}, {}
    with Timer(arguments.runs) as timer:
        for precision, config in configs.items():
            wholes[precision] = time_whole(models[precision], config, image, timer)
            stages[precision] = time_stages(models[precision], config, image, timer)
        for precision in PRECISIONS:
            peers[precision] = timer.median(make_mask_rcnn(CLASSES + 1, precision), photograph)
    print_tables(wholes, stages, peers)
    if arguments.json:
        figures = {"fcis": wholes, "fcis_stages": stages, "mask_rcnn": peers}
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


def make_models(configs, image):
    """Returns FCIS of the same random weights by precision."""
    images, _ = prepare(image, configs["float32"])
    models = {precision: make_network(config, CLASSES, images) for precision, config in configs.items()}
    for model in models.values():
        model.set_weights(models["float32"].get_weights())
    return models


def prepare(image, config):
    """Returns [1, H, W, 3] float32, the prepared and padded image, and its [1, 2] int32 size without padding."""
    prepared, _ = prepare_image(image, config.data.short_side, config.data.long_side)
    return pad_image(prepared)[None], tf.shape(prepared)[None, :2]


def time_whole(model, config, image, timer):
    """Returns the seconds from an image to Instances, by how the network runs."""
    seconds = {
        "as it is": timer.median(Predictor(model, config).predict, image),
        "frozen weights": timer.median(Predictor(model, config, freeze=True).predict, image),
    }
    with use_implementation("portable"):
        seconds["frozen, portable operators"] = timer.median(Predictor(model, config, freeze=True).predict, image)
    return seconds


def time_stages(model, config, image, timer):
    """Returns the seconds of every stage, each compiled on its own with frozen weights."""
    seconds = {}

    def stage(name, function, *inputs):
        @tf.function
        def frozen(*inputs):
            with frozen_weights(model):
                return function(*inputs)

        seconds[name] = timer.median(frozen, *inputs)
        return frozen(*inputs)

    def propose(conv4, sizes):
        logits, offsets = model.rpn(conv4)
        height, width = tf.unstack(tf.shape(conv4)[1:3])
        anchors = make_anchors(height, width, **model.anchor_layout)
        return model.proposal_layer(logits, offsets, anchors, sizes)

    def move_and_assemble(maps, first):
        return model.assemble(maps, model.refine(maps, first["rois"], first["box_offsets"]))

    def select(first, second, valid, sizes):
        outputs = {name: tf.concat([first[name], second[name]], axis=1) for name in first}
        outputs["rois_valid"] = tf.concat([valid, valid], axis=1)
        return detect(score_regions(lambda *_, **__: outputs, None, None, True), sizes, config.inference)

    images, sizes = stage("preparation", lambda image: prepare(image, config), image)
    conv4, conv5 = stage("trunk", model.backbone, images)
    proposals, valid = stage("RPN and proposals", propose, conv4, sizes)
    maps = stage("score and box maps", model.head, conv5) | {"image_sizes": sizes}
    first = stage("first pass", model.assemble, maps, proposals)
    second = stage("second pass", move_and_assemble, maps, first)
    detections = stage("selection", select, first, second, valid, sizes)
    detections = {name: values[0] for name, values in detections.items()}
    stage("mask voting", lambda found, size: render_instances(found, size, config.inference), detections, sizes[0])
    voters = np.count_nonzero(detections["votes"], axis=1)
    print(f"\n{int(detections['num_detections'])} detections of {voters.mean():.1f} voters each")
    return seconds


def print_tables(wholes, stages, peers):
    print(f"\nOne image of {HEIGHT} x {WIDTH}, ResNet-101, {CLASSES} classes; milliseconds by stage, frozen weights\n")
    print(f"{'stage':24}" + "".join(f"{precision:>18}" for precision in PRECISIONS))
    for name in stages["float32"]:
        print(f"{name:24}" + "".join(f"{1000 * stages[precision][name]:18.1f}" for precision in PRECISIONS))
    for precision in PRECISIONS:
        of_all = sum(stages[precision][name] for name in PER_ROI) / sum(stages[precision].values())
        print(f"per region in {precision}: {of_all:.1%} of the stages' sum")

    print(f"\nFrom a decoded image to final masks, and Mask R-CNN on {PEER_HEIGHT} x {PEER_WIDTH}; milliseconds\n")
    print(f"{'':44}{'':>12}{'of Mask R-CNN, float32':>26}{'of it in the same':>20}")
    for precision in PRECISIONS:
        for name, seconds in (*wholes[precision].items(), ("Mask R-CNN", peers[precision])):
            ratios = f"{seconds / peers['float32']:26.2f}{seconds / peers[precision]:20.2f}"
            print(f"{f'{precision}, {name}':44}{1000 * seconds:12.1f}{ratios}")


if __name__ == "__main__":
    run_program(main)
