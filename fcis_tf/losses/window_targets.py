"""Which of InstanceFCN's sliding windows show an object.

InstanceFCN calls a window positive as DeepMask does (Pinheiro et al. 2015, section 3.3): where an object lies in its
middle and has about the size that is wanted.
"""

import math

import tensorflow as tf

from fcis_tf import boxes as box_ops
from fcis_tf.losses.anchor_targets import CROWD_OVERLAP
from fcis_tf.losses.random_subset import Draw, random_subset

# Longer side of an object, as a part of the window's, and the factor by which it may be larger or smaller. DeepMask
# takes 2^(1/4); with this one every object fits into some level of a pyramid of steps of 1.5.
OBJECT_SIZE = 128 / 224
SIZE_TOLERANCE = math.sqrt(1.5)
# How far an object's centre may be from the window's, as a part of the window's side, along each axis. Where the
# windows are farther apart, half their distance.
CENTER_TOLERANCE = 16 / 224
# Windows whose object exceeds a tolerance by less than this factor are neither positive nor negative.
MARGIN = 2.0


def window_targets(windows, batch, stride, config, seeds):
    """Labels windows, and draws a minibatch of them for every image.

    Negative are the windows without an object near their middle and near the wanted size. Windows that lie in a crowd
    region, or whose centre lies in the padding of a smaller image, are not.

    Args:
        windows: [A, 4] float32 in pixels, all of one size.
        batch: image_sizes [N, 2] int32, boxes [N, G, 4] in pixels, classes [N, G] int32 (0 pads), is_crowd [N, G].
        stride: pixels between windows.
        config: a `fcis_tf.config.RpnTargetConfig`; gives how many are drawn, and how many of them may be positive.
        seeds: [N, 2] integers, see `image_seeds`.

    Returns:
        labels [N, A] int32: 1 positive, 0 negative, -1 not drawn; matched [N, A] int32: index of the instance.
    """
    instance = (batch["classes"] > 0) & ~batch["is_crowd"]
    deviation = tf.where(instance[:, None, :], _deviations(windows, batch["boxes"], stride), float("inf"))
    # A leading column stands for "no instance", so that images without any work too.
    deviation = tf.pad(deviation, [[0, 0], [0, 0], [1, 0]], constant_values=float("inf"))
    least = tf.reduce_min(deviation, axis=2)
    matched = tf.maximum(tf.argmin(deviation, axis=2, output_type=tf.int32) - 1, 0)

    crowd = (batch["classes"] > 0) & batch["is_crowd"]
    in_crowd = tf.where(crowd[:, None, :], box_ops.covered_fraction(windows, batch["boxes"]), 0.0) > CROWD_OVERLAP
    most = int(config.anchors_per_image * config.foreground_fraction)
    positive = random_subset(least <= 1.0, most, seeds, Draw.FOREGROUND_ANCHORS)
    drawn = tf.reduce_sum(tf.cast(positive, tf.int32), axis=1)
    negative = (least > MARGIN) & ~tf.reduce_any(in_crowd, axis=2) & _centers_inside(windows, batch["image_sizes"])
    negative = random_subset(negative, config.anchors_per_image - drawn, seeds, Draw.BACKGROUND_ANCHORS)
    return tf.where(positive, 1, tf.where(negative, 0, -1)), matched


def _deviations(windows, boxes, stride):
    """Returns [N, A, G]: how far objects are from what is wanted, 1 for as far as a positive one may be.

    The largest of three deviations, of the centre along both axes and of the size, each in units of its tolerance.
    """
    side = windows[0, 2] - windows[0, 0]
    centers, object_centers = _centers(windows), _centers(boxes)
    tolerance = tf.maximum(CENTER_TOLERANCE * side, stride / 2.0)
    shift = tf.reduce_max(tf.abs(centers[None, :, None] - object_centers[:, None]), axis=-1) / tolerance
    longer = tf.maximum(tf.reduce_max(boxes[..., 2:] - boxes[..., :2], axis=-1), 1e-3)
    size = tf.abs(tf.math.log(longer / (OBJECT_SIZE * side))) / math.log(SIZE_TOLERANCE)
    return tf.maximum(shift, size[:, None])


def _centers_inside(windows, image_sizes):
    """Returns [N, A] bool, whether the centres of windows lie in the images."""
    limits = tf.cast(image_sizes, tf.float32)[:, None, :]
    return tf.reduce_all(_centers(windows) < limits, axis=-1)


def _centers(boxes):
    return (boxes[..., :2] + boxes[..., 2:]) / 2.0
