"""Time of a training step by part: `python -m benchmarks.train_step --config configs/digits.yaml`.

Every part runs alone, compiled, on the inputs that it has in a step; the median of several runs is printed. Forward
and backward is a forward pass with the gradient of its sum with respect to the part's variables and inputs.
"""

import argparse
import json

import keras
import tensorflow as tf

from benchmarks.timer import Timer
from fcis_tf.command_line import add_override_argument, run_program
from fcis_tf.config import load_config
from fcis_tf.data import load_dataset, training_batches
from fcis_tf.losses import JointLoss, loss_terms, roi_targets
from fcis_tf.losses.anchor_targets import anchor_targets
from fcis_tf.losses.random_subset import image_seeds
from fcis_tf.model_directory import build_model
from fcis_tf.training.optimizer import Optimizer


def main():
    parser = argparse.ArgumentParser(description="Times the parts of a training step.")
    parser.add_argument("--config", required=True)
    parser.add_argument("--runs", type=int, default=10, help="how often each part runs [%(default)s]")
    parser.add_argument("--json", help="also write the seconds to this file")
    add_override_argument(parser)
    arguments = parser.parse_args()
    config = load_config(arguments.config, arguments.override)
    seconds = time_parts(config, arguments.runs)
    print(f"\n{arguments.config}, {config.training.images_per_step} images a step; milliseconds a step\n")
    print(f"{'part':24}{'forward':>10}{'and backward':>14}")
    for part, (forward, both) in seconds.items():
        print(f"{part:24}{_milliseconds(forward):>10}{_milliseconds(both):>14}")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(seconds, file, indent=1)


def time_parts(config, runs):
    """Returns {part: (forward, forward and backward)} in seconds, None where a part has no such pass."""
    keras.utils.set_random_seed(0)
    source = load_dataset(config.data, "train")
    batches = training_batches(source, config.data, config.training.images_per_step, seed=0)
    batch = next(iter(batches))
    model = build_model(config, len(source.class_names))
    optimizer = Optimizer(config.training, model.trainable_variables)
    joint_loss = JointLoss(model, config.training)
    seeds = image_seeds(config.training.seed, batch["positions"])

    def targets(maps):
        training = config.training
        anchors = anchor_targets(maps["anchors"], batch, training.rpn_targets, seeds)
        rois, valid = roi_targets.candidate_rois(maps["proposals"], maps["proposals_valid"], batch)
        labels, matched = roi_targets.match_rois(rois, valid, batch, training.roi_targets.foreground_iou)
        if training.roi_targets.selection == "sampled":
            rois, labels, matched = roi_targets.sample_rois(rois, labels, matched, training.roi_targets, seeds)
        masks = roi_targets.mask_targets(rois, labels, matched, batch, config.model.pooled_size)
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

    def step():
        with tf.GradientTape() as tape:
            maps = model.propose(batch["images"], batch["image_sizes"], training=True)
            terms, _ = joint_loss(maps, batch)
            total = tf.add_n([tf.reduce_sum(term) for term in terms.values()]) / config.training.images_per_step
        return optimizer.apply(tape.gradient(total, model.trainable_variables))

    maps = model.propose(batch["images"], batch["image_sizes"])
    conv4, conv5 = model.backbone(batch["images"])
    fixed_targets = targets(maps)
    _, rois, labels, _, _ = fixed_targets
    assembled = model.assemble(maps, rois, tf.maximum(labels, 0))
    answers = [maps["rpn_logits"], maps["rpn_offsets"]]
    answers += [assembled[name] for name in ("class_logits", "mask_logits", "box_offsets")]
    rpn_outputs = maps["rpn_logits"], maps["rpn_offsets"], maps["anchors"], batch["image_sizes"]

    def assemble(score_maps, box_maps):
        return model.head.assemble(score_maps, box_maps, rois, tf.maximum(labels, 0))[:3]

    with Timer(runs) as timer:
        parts = _Parts(timer)
        trunk = model.backbone
        parts.time("backbone", lambda x: trunk(x, training=True), [batch["images"]], trunk.trainable_variables)
        parts.time("RPN", model.rpn, [conv4], model.rpn.trainable_variables)
        parts.time("proposals", lambda: model.proposal_layer(*rpn_outputs), [], None)
        parts.time("score and box maps", model.head, [conv5], model.head.trainable_variables)
        parts.time("targets", lambda: targets(maps), [], None)
        parts.time("assembly", assemble, [maps["score_maps"], maps["box_maps"]], [])
        parts.time("losses", losses, answers, [])
        gradients = [tf.ones_like(variable) for variable in model.trainable_variables]
        parts.time("update", lambda: optimizer.apply(gradients), [], None)
        parts.time("whole step", step, [], None)
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
                total = tf.add_n([tf.reduce_sum(output) for output in outputs])
            return tape.gradient(total, [*inputs, *variables])

        forward = self._timer.median(tf.function(function), *inputs)
        self.seconds[name] = forward, None if variables is None else self._timer.median(tf.function(both), *inputs)


def _milliseconds(seconds):
    return "-" if seconds is None else f"{1000 * seconds:.1f}"


if __name__ == "__main__":
    run_program(main)
