"""Masks of detections as the weighted average of all masks there (FCIS section 3.4)."""

import tensorflow as tf

from fcis_tf.boxes import iou
from fcis_tf.inference.paste_masks import interpolation_weights


def vote_masks(outputs, boxes, classes, merge_threshold, size):
    """Averages, for every detection, the masks of all regions of interest that overlap it.

    A region votes with the weight of its score for the detection's class; its mask is interpolated at the centres of
    the cells of a grid over the box around all voters, and is 0 outside the region. So an instance can reach beyond the
    detection's own box, where that cuts it off.

    Args:
        outputs: the model's outputs for a batch of N images: `rois` [N, R, 4] float32 in pixels, `rois_valid` [N, R]
            bool, `class_logits` [N, R, C + 1] float32 and `mask_logits` [N, R, P, P, 2] float32 (outside, inside).
        boxes: [N, D, 4] float32, the detections, in pixels of the same images.
        classes: [N, D] int32 in 1..C; 0 is padding.
        merge_threshold: regions whose IoU with a detection is at least this vote on its mask.
        size: G, int32, the grid's cells along a side.

    Returns:
        mask_probs: [N, D, G, G] float32, the probability of each cell of the grid to be inside the instance.
        mask_boxes: [N, D, 4] float32, the grids' boxes in pixels. Both are 0 for padding.
    """
    inside = tf.nn.softmax(outputs["mask_logits"])[..., 1]
    bins = tf.shape(inside)[-1]
    scores = tf.gather(tf.nn.softmax(outputs["class_logits"]), classes, axis=2, batch_dims=1)
    votes = (iou(boxes, outputs["rois"]) >= merge_threshold) & outputs["rois_valid"][:, None] & (classes > 0)[..., None]
    weights = tf.where(votes, tf.transpose(scores, [0, 2, 1]), 0.0)
    weights = tf.math.divide_no_nan(weights, tf.reduce_sum(weights, axis=2, keepdims=True))
    images, detections = tf.shape(boxes)[0], tf.shape(boxes)[1]

    def vote(detection):
        image, weight = detection
        voters = tf.where(weight > 0)[:, 0]
        rois = tf.gather(outputs["rois"][image], voters)
        box = _box_around(rois)
        # The voters' boxes in units of the grid's cells.
        cell = tf.maximum(box[2:] - box[:2], 1e-3) / tf.cast(size, tf.float32)
        edges = (rois - tf.tile(box[:2], [2])) / tf.tile(cell, [2])
        masks = tf.gather(inside[image], voters) * tf.gather(weight, voters)[:, None, None]
        rows = interpolation_weights(edges[:, 0], edges[:, 2], size, bins)
        columns = interpolation_weights(edges[:, 1], edges[:, 3], size, bins)
        return tf.reduce_sum(tf.matmul(rows @ masks, columns, transpose_b=True), axis=0), box

    flat = tf.repeat(tf.range(images), detections), tf.reshape(weights, [images * detections, -1])
    signature = tf.TensorSpec([None, None], tf.float32), tf.TensorSpec([4], tf.float32)
    mask_probs, mask_boxes = tf.map_fn(vote, flat, fn_output_signature=signature)
    return tf.reshape(mask_probs, [images, detections, size, size]), tf.reshape(mask_boxes, [images, detections, 4])


def _box_around(boxes):
    """Returns the box [4] around boxes [V, 4], zeros where V is 0."""
    box = tf.concat([tf.reduce_min(boxes[:, :2], axis=0), tf.reduce_max(boxes[:, 2:], axis=0)], axis=0)
    return tf.where(tf.shape(boxes)[0] > 0, box, 0.0)
