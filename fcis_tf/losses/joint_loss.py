"""The joint loss of RPN and head (FCIS section 3.3)."""

import tensorflow as tf

from fcis_tf.losses import loss_terms, roi_targets
from fcis_tf.losses.anchor_targets import anchor_targets
from fcis_tf.losses.online_hard_example_mining import OnlineHardExampleMining
from fcis_tf.losses.random_subset import image_seeds

TERMS = ("rpn_class", "rpn_box", "roi_class", "roi_mask", "roi_box")


class JointLoss:
    """Finds the targets, runs the head on the RoIs to learn from, and computes the five terms of the loss.

    Every term is normalised within its image, so that an image weighs the same whatever batch or replica it is in:
    classes by the RoIs (anchors) learned from, masks by the foreground RoIs, boxes by the RoIs (anchors) learned
    from.

    Args:
        model: the `FCIS` to train.
        config: a `fcis_tf.config.TrainingConfig`.

    Call arguments:
        maps: what `model.propose` returned for the batch.
        batch: image_sizes, boxes, classes, is_crowd, masks and positions (see `fcis_tf.data`).

    Returns:
        losses: the weighted terms, [N] float32 each.
        accuracies: [2] float32 each, over the batch: how many are correct, among how many.
    """

    def __init__(self, model, config):
        self.model = model
        self.config = config
        self.weights = config.loss_weights.model_dump()
        self.hard_examples = OnlineHardExampleMining(config.roi_targets.rois_per_image)

    def __call__(self, maps, batch):
        seeds = image_seeds(self.config.seed, batch["positions"])
        rpn_losses, rpn_accuracies = self.rpn_terms(maps, batch, seeds)
        roi_losses, roi_accuracies = self.roi_terms(maps, batch, seeds)
        losses = {**rpn_losses, **roi_losses}
        return {term: self.weights[term] * losses[term] for term in TERMS}, {**rpn_accuracies, **roi_accuracies}

    def rpn_terms(self, maps, batch, seeds):
        labels, offsets = anchor_targets(maps["anchors"], batch, self.config.rpn_targets, seeds)
        drawn, foreground = labels >= 0, labels > 0
        box_losses = loss_terms.smooth_l1_loss(maps["rpn_offsets"], offsets, sigma=3.0)
        losses = {
            "rpn_class": loss_terms.mean_where(loss_terms.softmax_loss(maps["rpn_logits"], labels), drawn),
            "rpn_box": loss_terms.mean_where(tf.where(foreground, box_losses, 0.0), drawn),
        }
        correct = (maps["rpn_logits"][..., 1] > maps["rpn_logits"][..., 0]) == foreground
        return losses, {
            "rpn": loss_terms.count(correct, drawn),
            "rpn_foreground": loss_terms.count(correct, foreground),
        }

    def roi_terms(self, maps, batch, seeds):
        rois, labels, matched = self._rois_to_forward(maps, batch, seeds)
        outputs = self.model.assemble(maps, rois, tf.maximum(labels, 0), training=True)
        masks = roi_targets.mask_targets(rois, labels, matched, batch, self.model.head.mask_size)
        boxes = roi_targets.box_targets(rois, labels, matched, batch, self.model.box_target_stds)

        foreground = labels > 0
        class_losses = loss_terms.softmax_loss(outputs["class_logits"], labels)
        mask_losses = tf.where(foreground, loss_terms.mask_loss(outputs["mask_logits"], masks), 0.0)
        box_losses = tf.where(foreground, loss_terms.smooth_l1_loss(outputs["box_offsets"], boxes), 0.0)

        selected = labels >= 0
        if self.config.roi_targets.selection == "ohem":
            terms = {"roi_class": class_losses, "roi_mask": mask_losses, "roi_box": box_losses}
            total = tf.add_n([self.weights[term] * loss for term, loss in terms.items()])
            selected = self.hard_examples(total, selected)
        losses = {
            "roi_class": loss_terms.mean_where(class_losses, selected),
            "roi_mask": loss_terms.mean_where(mask_losses, selected & foreground),
            "roi_box": loss_terms.mean_where(box_losses, selected),
        }
        correct = tf.argmax(outputs["class_logits"], axis=-1, output_type=tf.int32) == labels
        inside = outputs["mask_logits"][..., 1] > outputs["mask_logits"][..., 0]
        in_foreground = tf.broadcast_to(foreground[..., None, None], tf.shape(masks))
        return losses, {
            "roi": loss_terms.count(correct, labels >= 0),
            "roi_foreground": loss_terms.count(correct, foreground),
            "mask_pixels": loss_terms.count(inside == (masks > 0), in_foreground),
        }

    def _rois_to_forward(self, maps, batch, seeds):
        config = self.config.roi_targets
        rois, valid = roi_targets.candidate_rois(maps["proposals"], maps["proposals_valid"], batch)
        labels, matched = roi_targets.match_rois(rois, valid, batch, config.foreground_iou)
        if config.selection == "sampled":
            rois, labels, matched = roi_targets.sample_rois(rois, labels, matched, config, seeds)
        return rois, labels, matched
