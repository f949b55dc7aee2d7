"""Which anchors the RPN learns from, and what (Faster R-CNN section 3.1.2)."""

import tensorflow as tf

from fcis_tf import boxes as box_ops
from fcis_tf.losses.random_subset import Draw, random_subset

# Anchors and RoIs that lie in a crowd region by more than this are no background.
CROWD_OVERLAP = 0.5


def anchor_targets(anchors, batch, config, seeds):
    """Labels anchors by their overlap with the ground truth and draws a minibatch of them for every image.

    Foreground are the anchors with an IoU of at least `config.foreground_iou` and, for every instance, those with
    the highest IoU; background those below `config.background_iou` with all. Anchors that cross the image's
    boundary, or that lie in a crowd region, take no part.

    Args:
        anchors: [A, 4] float32 in pixels.
        batch: image_sizes [N, 2] int32, boxes [N, G, 4] in pixels, classes [N, G] int32 (0 pads), is_crowd [N, G].
        config: a `fcis_tf.config.RpnTargetConfig`.
        seeds: [N, 2] integers, see `image_seeds`.

    Returns:
        labels [N, A] int32: 1 foreground, 0 background, -1 not drawn; offsets [N, A, 4] float32, those of the
        instance with the highest IoU, meaningful where labels are 1.
    """
    instance = (batch["classes"] > 0) & ~batch["is_crowd"]
    overlaps = tf.where(instance[:, None, :], box_ops.iou(anchors, batch["boxes"]), 0.0)
    inside = _inside(anchors, batch["image_sizes"])
    overlaps = tf.where(inside[..., None], overlaps, 0.0)

    # A leading column stands for "no instance", so that images without any work too.
    best = tf.reduce_max(tf.pad(overlaps, [[0, 0], [0, 0], [1, 0]]), axis=2)
    best_of_instance = tf.reduce_max(overlaps, axis=1, keepdims=True)
    is_best = tf.reduce_any((overlaps == best_of_instance) & (overlaps > 0.0), axis=2)

    crowd = (batch["classes"] > 0) & batch["is_crowd"]
    in_crowd = tf.where(crowd[:, None, :], box_ops.covered_fraction(anchors, batch["boxes"]), 0.0) > CROWD_OVERLAP
    foreground = inside & (is_best | (best >= config.foreground_iou))
    background = inside & ~foreground & (best < config.background_iou) & ~tf.reduce_any(in_crowd, axis=2)

    most = int(config.anchors_per_image * config.foreground_fraction)
    foreground = random_subset(foreground, most, seeds, Draw.FOREGROUND_ANCHORS)
    drawn = tf.reduce_sum(tf.cast(foreground, tf.int32), axis=1)
    background = random_subset(background, config.anchors_per_image - drawn, seeds, Draw.BACKGROUND_ANCHORS)
    labels = tf.where(foreground, 1, tf.where(background, 0, -1))
    return labels, _offsets(anchors, batch["boxes"], overlaps, foreground)


def _inside(anchors, image_sizes):
    limits = tf.cast(image_sizes, tf.float32)[:, None, :]
    return tf.reduce_all(anchors[:, :2] >= 0.0, axis=-1) & tf.reduce_all(anchors[:, 2:] <= limits, axis=-1)


def _offsets(anchors, boxes, overlaps, foreground):
    # An appended dummy box is what images without instances match.
    boxes = tf.pad(boxes, [[0, 0], [0, 1], [0, 0]])
    matched = tf.argmax(tf.pad(overlaps, [[0, 0], [0, 0], [0, 1]]), axis=2)
    matched = tf.gather(boxes, matched, batch_dims=1)
    return box_ops.encode(tf.where(foreground[..., None], matched, anchors), anchors)
