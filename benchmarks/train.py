"""Time and memory of a training step: `python -m benchmarks.train`.

FCIS with a ResNet-101 and 80 classes on an image of 600 x 800, as configs/coco.yaml trains it, beside Model Garden's
Mask R-CNN with a ResNet-101-FPN on one of 576 x 832, which is the nearest size that its pyramid takes and 0.2% fewer
pixels. Both have random weights, learn from scenes of eight instances, and train the same layers of the trunk: conv3_x
to conv5_x, without batch normalisation.

Every system is in a process of its own. Whole steps take turns: with OHEM over all proposals, with 128 sampled RoIs,
Mask R-CNN. Then every part of FCIS's step runs alone, compiled, on the inputs that it has in a step. Forward and
backward is a forward pass with the gradients of the part's variables and inputs.
"""

import argparse
import functools
import json
import multiprocessing
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import tensorflow as tf
from tqdm import tqdm

from benchmarks.mask_rcnn import make_training_step
from benchmarks.memory import forget_peak, memory_of
from benchmarks.random_network import make_network
from benchmarks.scenes import CLASSES, write_scenes
from benchmarks.timer import Timer
from fcis_tf.command_line import add_override_argument, run_program
from fcis_tf.config import load_config
from fcis_tf.data import load_dataset, training_batches
from fcis_tf.losses import JointLoss, loss_terms, roi_targets
from fcis_tf.losses.anchor_targets import anchor_targets
from fcis_tf.losses.random_subset import image_seeds
from fcis_tf.training.optimizer import Optimizer
from fcis_tf.training.skipped_images import SkippedImages
from fcis_tf.training.trainer import Trainer

CONFIG = Path(__file__).parent.parent / "configs" / "coco.yaml"
SIZE, PEER_SIZE = (600, 800), (576, 832)
PRECISIONS = ("float32", "mixed_bfloat16")
OHEM, SAMPLED, PEER = "FCIS, OHEM", "FCIS, sampled RoIs", "Mask R-CNN"
# The first steps of a process trace, compile and fill caches.
WARM_UP = 2


def main():
    parser = argparse.ArgumentParser(description="Times a training step, by part, beside Mask R-CNN.")
    parser.add_argument("--runs", type=int, default=10, help="how often each step and each part runs [%(default)s]")
    parser.add_argument("--precision", choices=PRECISIONS, action="append", help="default: both, one after the other")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    add_override_argument(parser)
    arguments = parser.parse_args()
    figures = {}
    with tqdm(desc="train", unit=" steps") as bar:
        for precision in arguments.precision or PRECISIONS:
            overrides = (*arguments.override, f"model.precision={precision}")
            figures[precision] = measure(overrides, arguments.runs, bar)
    for precision, found in figures.items():
        print_table(precision, found)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


def measure(overrides, runs, bar):
    """Returns the seconds of whole steps by run, of the parts, and the peak megabytes, each by name."""
    with in_new_process() as fcis, in_new_process() as peer:
        systems = {OHEM: fcis, PEER: peer, SAMPLED: fcis}
        peaks = {}
        for name, process in systems.items():
            bar.set_postfix_str(f"warming up: {name}")
            peaks[name] = process.submit(peak_of, name, overrides).result()
        steps = {name: [] for name in systems}
        bar.set_postfix_str("steps in turn")
        for run in range(runs):
            # Forwards and backwards, so that none always follows the same other one.
            for name, process in list(systems.items())[:: -1 if run % 2 else 1]:
                steps[name].append(process.submit(seconds_of, name, overrides).result())
                bar.update()
        bar.set_postfix_str("parts")
        parts = fcis.submit(time_parts, overrides, runs).result()
    return {"step_seconds": steps, "part_seconds": parts, "peak_megabytes": peaks}


def in_new_process():
    """Returns an executor whose one process is a new one, which keeps what it made from call to call."""
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def peak_of(name, overrides):
    """Runs the first steps and returns the highest memory in MB that this process has had meanwhile."""
    step = training_step(name, overrides)
    forget_peak()
    for _ in range(WARM_UP):
        step()
    return memory_of()["VmHWM"]


def seconds_of(name, overrides):
    """Runs a step and returns its seconds."""
    step = training_step(name, overrides)
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


@functools.cache
def training_step(name, overrides):
    """Returns a function that runs one step of a system and waits for its end."""
    config = read_config(overrides)
    if name == PEER:
        step = make_training_step(CLASSES + 1, config.model.precision, PEER_SIZE, config.training)
        return lambda: step().numpy()
    selection = "ohem" if name == OHEM else "sampled"
    config = read_config((*overrides, f"training.roi_targets.selection={selection}"))
    model, optimizer, source, batch = make_fcis(overrides)
    batches = tf.data.Dataset.from_tensors(batch).repeat()
    step = tf.Variable(0, dtype=tf.int64)
    trainer = Trainer(model, optimizer, batches, config.training, step, tqdm(disable=True), SkippedImages(source))
    return lambda: trainer.train(tf.constant(1))


def read_config(overrides):
    """Returns the configuration of COCO for one image a step, whose weights stay what they are."""
    ours = ("training.images_per_step=1", "training.learning_rate.values=[1.0e-9, 1.0e-9]")
    return load_config(CONFIG, (*ours, *overrides))


@functools.cache
def make_fcis(overrides):
    """Returns an FCIS, its optimizer, its data set and a batch of it."""
    config = read_config(overrides)
    with tempfile.TemporaryDirectory() as folder:
        scenes = type(config.data.train).model_validate(write_scenes(Path(folder), [SIZE]))
        data = config.data.model_copy(update={"train": scenes})
        source = load_dataset(data, "train")
        batch = next(iter(training_batches(source, data, config.training.images_per_step, seed=0)))
    model = make_network(config, CLASSES, batch["images"])
    return model, Optimizer(config.training, model.trainable_variables, config.model.precision), source, batch


def time_parts(overrides, runs):
    """Returns {part: (forward, forward and backward)} in seconds, None where a part has no such pass."""
    config = read_config(overrides)
    model, optimizer, _, batch = make_fcis(overrides)
    training = config.training
    joint_loss = JointLoss(model, training)
    seeds = image_seeds(training.seed, batch["positions"])

    def targets(maps):
        anchors = anchor_targets(maps["anchors"], batch, training.rpn_targets, seeds)
        rois, valid = roi_targets.candidate_rois(maps["proposals"], maps["proposals_valid"], batch)
        labels, matched = roi_targets.match_rois(rois, valid, batch, training.roi_targets.foreground_iou)
        masks = roi_targets.mask_targets(rois, labels, matched, batch, model.head.mask_size)
        boxes = roi_targets.box_targets(rois, labels, matched, batch, config.model.box_target_stds)
        return anchors, rois, labels, masks, boxes

    def losses(rpn_logits, rpn_offsets, class_logits, mask_logits, box_offsets):
        (anchor_labels, offsets), _, labels, masks, boxes = fixed_targets
        return [
            loss_terms.softmax_loss(rpn_logits, anchor_labels),
            loss_terms.smooth_l1_loss(rpn_offsets, offsets, sigma=3.0),
            loss_terms.softmax_loss(class_logits, labels),
            loss_terms.mask_loss(mask_logits, masks),
            loss_terms.smooth_l1_loss(box_offsets, boxes),
        ]

    def assemble(score_maps, box_maps):
        maps = {"score_maps": score_maps, "box_maps": box_maps}
        return model.head.assemble(maps, rois, tf.maximum(labels, 0), training=True)

    def all_of_rois(score_maps, box_maps):
        terms, _ = joint_loss.roi_terms(maps | {"score_maps": score_maps, "box_maps": box_maps}, batch, seeds)
        return list(terms.values())

    maps = tf.function(model.propose)(batch["images"], batch["image_sizes"])
    conv4, conv5 = tf.function(model.backbone)(batch["images"])
    fixed_targets = targets(maps)
    _, rois, labels, _, _ = fixed_targets
    ps_maps = [maps["score_maps"], maps["box_maps"]]
    answers = [maps["rpn_logits"], maps["rpn_offsets"], *assemble(*ps_maps)]
    rpn_outputs = maps["rpn_logits"], maps["rpn_offsets"], maps["anchors"], batch["image_sizes"]
    gradients = [tf.ones_like(variable) for variable in model.trainable_variables]

    with Timer(runs) as timer:
        parts = _Parts(timer)
        trunk, rpn, head = model.backbone, model.rpn, model.head
        parts.time("backbone", lambda: trunk(batch["images"], training=True), [], trunk.trainable_variables)
        parts.time("RPN", rpn, [conv4], rpn.trainable_variables)
        parts.time("proposals", lambda: model.proposal_layer(*rpn_outputs), [], None)
        parts.time("score and box maps", lambda x: head(x, training=True), [conv5], head.trainable_variables)
        parts.time("targets", lambda: targets(maps), [], None)
        parts.time("assembly", assemble, ps_maps, [])
        parts.time("losses", losses, answers, [])
        parts.time("update", lambda: optimizer.apply(gradients), [], None)
        parts.time("all that is done per RoI", all_of_rois, ps_maps, [])
    return parts.seconds


class _Parts:
    def __init__(self, timer):
        self.seconds = {}
        self._timer = timer

    def time(self, name, function, inputs, variables):
        """Times a function of `inputs`; variables None says that no gradient passes through it."""

        def both(*inputs):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                outputs = tf.nest.flatten(function(*inputs))
            return tape.gradient(outputs, [*inputs, *variables])

        forward = self._timer.median(tf.function(function), *inputs)
        self.seconds[name] = forward, None if variables is None else self._timer.median(tf.function(both), *inputs)


def print_table(precision, figures):
    medians = {name: statistics.median(seconds) for name, seconds in figures["step_seconds"].items()}
    whole = medians[OHEM]
    print(f"\n{precision}: an image of {SIZE[0]} x {SIZE[1]}, ResNet-101, {CLASSES} classes; milliseconds\n")
    print(f"{'part':28}{'forward':>10}{'and backward':>14}{'of the step':>13}")
    for part, (forward, both) in figures["part_seconds"].items():
        share = (forward if both is None else both) / whole
        print(f"{part:28}{_milliseconds(forward):>10}{_milliseconds(both):>14}{share:>13.1%}")

    print(f"\n{'whole step':28}{'median':>10}{'fastest':>10}{'slowest':>10}{'of OHEM':>10}{'peak MB':>10}")
    for name, seconds in figures["step_seconds"].items():
        spread = "".join(f"{_milliseconds(value):>10}" for value in (medians[name], min(seconds), max(seconds)))
        print(f"{name:28}{spread}{medians[name] / whole:10.3f}{figures['peak_megabytes'][name]:10.0f}")
    _, per_roi = figures["part_seconds"]["all that is done per RoI"]
    print(f"\nOHEM over {SAMPLED[6:]}: {whole / medians[SAMPLED] - 1:+.1%} (aim: at most +5%)")
    print(f"per RoI, of the step: {per_roi / whole:.1%} (aim: at most 5%)")
    print(f"FCIS of Mask R-CNN on {PEER_SIZE[0]} x {PEER_SIZE[1]}: {whole / medians[PEER]:.2f} (aim: at most 1)")


def _milliseconds(seconds):
    return "-" if seconds is None else f"{1000 * seconds:.1f}"


if __name__ == "__main__":
    run_program(main)
