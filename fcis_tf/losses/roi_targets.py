"""What every RoI should answer: its class, its mask and its box (FCIS section 3.3)."""

import tensorflow as tf

from fcis_tf import boxes as box_ops
from fcis_tf.losses.anchor_targets import CROWD_OVERLAP
from fcis_tf.losses.random_subset import Draw, random_subset


def candidate_rois(proposals, proposals_valid, batch):
    """Joins the ground-truth boxes to the proposals, so that there are foreground RoIs before the RPN has learned.

    Args:
        proposals: [N, R, 4] float32 in pixels; proposals_valid: [N, R] bool.
        batch: boxes [N, G, 4], classes [N, G] (0 pads), is_crowd [N, G].

    Returns:
        rois [N, R + G, 4], valid [N, R + G] bool.
    """
    instance = (batch["classes"] > 0) & ~batch["is_crowd"]
    return tf.concat([proposals, batch["boxes"]], axis=1), tf.concat([proposals_valid, instance], axis=1)


def match_rois(rois, valid, batch, foreground_iou):
    """Gives every RoI the class of the instance that it overlaps most.

    Args:
        rois: [N, R, 4] float32 in pixels; valid: [N, R] bool.
        batch: boxes [N, G, 4], classes [N, G] (0 pads), is_crowd [N, G].
        foreground_iou: a RoI is foreground above it.

    Returns:
        labels [N, R] int32: the class, 0 for background, -1 for RoIs that are not valid or lie in a crowd region;
        matched [N, R] int32: index of the instance.
    """
    # A leading column stands for "no instance", so that images without any work too.
    classes = tf.pad(batch["classes"], [[0, 0], [1, 0]])
    overlaps = box_ops.iou(rois, batch["boxes"])
    instance = (batch["classes"] > 0) & ~batch["is_crowd"]
    overlaps = tf.pad(tf.where(instance[:, None, :], overlaps, 0.0), [[0, 0], [0, 0], [1, 0]])
    matched = tf.argmax(overlaps, axis=2, output_type=tf.int32)
    foreground = valid & (tf.reduce_max(overlaps, axis=2) > foreground_iou)

    crowd = (batch["classes"] > 0) & batch["is_crowd"]
    in_crowd = tf.where(crowd[:, None, :], box_ops.covered_fraction(rois, batch["boxes"]), 0.0) > CROWD_OVERLAP
    background = valid & ~foreground & ~tf.reduce_any(in_crowd, axis=2)
    labels = tf.where(foreground, tf.gather(classes, matched, batch_dims=1), tf.where(background, 0, -1))
    return labels, tf.maximum(matched - 1, 0)


def sample_rois(rois, labels, matched, config, seeds):
    """Draws RoIs: at most `foreground_fraction` of them foreground (Fast R-CNN section 2.3).

    Args:
        rois: [N, R, 4]; labels, matched: [N, R] as `match_rois` returns them.
        config: a `fcis_tf.config.RoiTargetConfig`.
        seeds: [N, 2] integers, see `image_seeds`.

    Returns:
        The three for `config.rois_per_image` RoIs an image; labels are -1 where there were too few.
    """
    most = int(config.rois_per_image * config.foreground_fraction)
    foreground = random_subset(labels > 0, most, seeds, Draw.FOREGROUND_ROIS)
    drawn = tf.reduce_sum(tf.cast(foreground, tf.int32), axis=1)
    background = random_subset(labels == 0, config.rois_per_image - drawn, seeds, Draw.BACKGROUND_ROIS)
    labels = tf.where(foreground | background, labels, -1)
    # top_k is stable: the drawn RoIs come first.
    count = tf.minimum(config.rois_per_image, tf.shape(labels)[1])
    _, chosen = tf.math.top_k(tf.cast(labels >= 0, tf.int32), count)
    return tuple(tf.gather(x, chosen, batch_dims=1) for x in (rois, labels, matched))


def box_targets(rois, labels, matched, batch, stds):
    """Returns the offsets [N, R, 4] from foreground RoIs to their instances' boxes, divided by `stds`; else 0."""
    foreground = (labels > 0)[..., None]
    # Padding and background boxes may be empty: they are replaced before the logarithm, not after.
    unit = tf.constant([0.0, 0.0, 1.0, 1.0])
    boxes = tf.where(foreground, _gather_instances(batch["boxes"], matched), unit)
    return box_ops.encode(boxes, tf.where(foreground, rois, unit)) / stds


def mask_targets(rois, labels, matched, batch, pooled_size):
    """Renders every foreground RoI's instance into its P x P bins.

    Args:
        rois: [N, R, 4] float32 in pixels; labels, matched: [N, R] as `match_rois` returns them.
        batch: boxes [N, G, 4] and masks [N, G, M, M] uint8, each mask cropped to its box.
        pooled_size: P.

    Returns:
        [N, R, P, P] int32: 1 where the centre of a bin is inside the instance.
    """
    instances, mask_size = tf.unstack(tf.shape(batch["masks"])[1:3])
    boxes = _gather_instances(batch["boxes"], matched)
    size = tf.maximum(boxes[..., 2:] - boxes[..., :2], 1e-3)
    # The centres of the RoI's bins as pixels of the instance's mask.
    bins = (tf.range(pooled_size, dtype=tf.float32) + 0.5)[:, None] / pooled_size
    centres = rois[..., None, :2] + bins * (rois[..., None, 2:] - rois[..., None, :2])
    pixels = (centres - boxes[..., None, :2]) / size[..., None, :] * tf.cast(mask_size, tf.float32)
    pixels = tf.cast(tf.floor(tf.clip_by_value(pixels, -1.0, tf.cast(mask_size, tf.float32))), tf.int32)
    covered = (pixels >= 0) & (pixels < mask_size) & (labels > 0)[..., None, None]
    pixels = tf.where(covered, pixels, 0)

    image = tf.range(tf.shape(rois)[0])[:, None]
    rows = (image * instances + matched)[..., None] * mask_size + pixels[..., 0]
    index = rows[..., :, None] * mask_size + pixels[..., None, :, 1]
    # One more pixel, so that a batch without instances can be gathered from.
    masks = tf.pad(tf.reshape(batch["masks"], [-1]), [[0, 1]])
    inside = tf.gather(masks, tf.where(covered[..., :, None, 0] & covered[..., None, :, 1], index, tf.size(masks) - 1))
    return tf.cast(inside, tf.int32)


def _gather_instances(values, matched):
    # One more row, so that a batch without instances can be gathered from.
    return tf.gather(tf.pad(values, [[0, 0], [0, 1], [0, 0]]), matched, batch_dims=1)
