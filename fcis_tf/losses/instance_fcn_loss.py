"""The loss of InstanceFCN (its section 3.2)."""

import tensorflow as tf

from fcis_tf.losses import loss_terms, roi_targets
from fcis_tf.losses.random_subset import image_seeds
from fcis_tf.losses.window_targets import window_targets
from fcis_tf.models.fcis import STRIDE


class InstanceFCNLoss:
    """Finds the windows to learn from, and computes the two terms of the loss.

    Each is normalised within its image: objectness by the windows learned from, masks by the positive ones among them.
    They are weighted as the terms of the joint loss that they correspond to, those of the RPN's classes and of the
    RoIs' masks.

    Args:
        model: the `InstanceFCN` to train.
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

    def __call__(self, maps, batch):
        seeds = image_seeds(self.config.seed, batch["positions"])
        logits, weights = maps["objectness_logits"], self.config.loss_weights
        labels, matched = window_targets(maps["windows"], batch, STRIDE, self.config.rpn_targets, seeds)
        drawn, positive = labels >= 0, labels > 0
        objectness_losses = loss_terms.sigmoid_loss(logits, positive)

        windows, labels, matched = self._positive_windows(maps["windows"], labels, matched)
        mask_logits = self.model.assemble(maps, windows)
        masks = roi_targets.mask_targets(windows, labels, matched, batch, self.model.mask_size) > 0
        mask_losses = tf.reduce_mean(loss_terms.sigmoid_loss(mask_logits, masks), axis=(2, 3))

        losses = {
            "objectness": weights.rpn_class * loss_terms.mean_where(objectness_losses, drawn),
            "mask": weights.roi_mask * loss_terms.mean_where(mask_losses, labels > 0),
        }
        in_positive = tf.broadcast_to((labels > 0)[..., None, None], tf.shape(masks))
        return losses, {
            "objectness": loss_terms.count((logits > 0) == positive, drawn),
            "objectness_foreground": loss_terms.count((logits > 0) == positive, positive),
            "mask_pixels": loss_terms.count((mask_logits > 0) == masks, in_positive),
        }

    def _positive_windows(self, windows, labels, matched):
        """Returns windows [N, R, 4] with their labels and matches [N, R], the drawn positive ones first."""
        config = self.config.rpn_targets
        most = tf.minimum(int(config.anchors_per_image * config.foreground_fraction), tf.shape(labels)[1])
        labels, chosen = tf.math.top_k(labels, most)
        return tf.gather(windows, chosen), labels, tf.gather(matched, chosen, batch_dims=1)
