"""From scored regions of interest to instances: suppression, and masks by voting (FCIS section 3.4)."""

import tensorflow as tf

from fcis_tf.boxes import iou
from fcis_tf.inference.leave_out_empty import leave_out_empty
from fcis_tf.inference.non_maximum_suppression import select_detections
from fcis_tf.ops import render_masks


def mask_voting(
    mask_probs,
    boxes,
    class_probs,
    image_size,
    *,
    score_threshold,
    nms_threshold,
    merge_threshold,
    binary_threshold,
    max_detections,
    threshold_first=False,
):
    """Turns the regions of interest of one image into instances.

    Args:
        mask_probs: [R, P, P] float32, the probability of each cell of a region to be inside the instance.
        boxes: [R, 4] float32 (ymin, xmin, ymax, xmax), the regions in pixels of the image; R > 0.
        class_probs: [R, C + 1] float32, the background first.
        image_size: (height, width) of the image.
        score_threshold: regions of greater probability are candidates for a class.
        nms_threshold: a kept region suppresses those of its class whose IoU with it is greater.
        merge_threshold: regions whose IoU with a kept one is at least this vote on its mask.
        binary_threshold: pixels of greater probability are the instance's.
        max_detections: at most so many, of the highest scores, are kept.
        threshold_first: whether masks are compared with `binary_threshold` before their mean too, as in the authors'
            code; a Python bool.

    Returns:
        boxes [D, 4] float32, tight around the masks; classes [D] int32 in 1..C; scores [D] float32; masks
        [D, height, width] bool. Detections without a pixel are left out.
    """
    mask_probs, boxes, class_probs = (tf.convert_to_tensor(x, tf.float32) for x in (mask_probs, boxes, class_probs))
    limits = {"score_threshold": score_threshold, "nms_threshold": nms_threshold, "max_detections": max_detections}
    valid = tf.ones(tf.shape(boxes)[:1], tf.bool)[None]
    regions, classes, scores = select_detections(boxes[None], valid, class_probs[None], **limits)
    votes = voting_weights(boxes[None], valid, class_probs[None], regions, classes, merge_threshold)
    found = scores[0] > 0
    votes, classes, scores = (tf.boolean_mask(x[0], found) for x in (votes, classes, scores))
    thresholding = {"binary_threshold": binary_threshold, "threshold_first": threshold_first}
    boxes, masks = render_masks(mask_probs, boxes, votes, image_size, **thresholding)
    return tuple(leave_out_empty(boxes, classes, scores, masks))


def voting_weights(boxes, valid, class_probs, regions, classes, merge_threshold):
    """How much each region of interest counts for the mask of each detection, in a batch of images.

    Args:
        boxes: [N, R, 4] float32, the regions.
        valid: [N, R] bool; False is padding.
        class_probs: [N, R, C + 1] float32.
        regions: [N, D] int32, which region each detection is.
        classes: [N, D] int32 in 1..C; 0 is padding.
        merge_threshold: regions whose IoU with a detection is at least this vote.

    Returns:
        [N, D, R] float32: the probability of the detection's class in the regions that vote, divided by the sum of
        them; 0 for padding.
    """
    detected = tf.gather(boxes, regions, batch_dims=1)
    scores = tf.transpose(tf.gather(class_probs, classes, axis=2, batch_dims=1), [0, 2, 1])
    # A region without extent, whose IoU even with itself is 0, still votes for itself.
    same = tf.one_hot(regions, tf.shape(boxes)[1], on_value=True, off_value=False)
    votes = ((iou(detected, boxes) >= merge_threshold) | same) & valid[:, None] & (classes > 0)[..., None]
    weights = tf.where(votes, scores, 0.0)
    return tf.math.divide_no_nan(weights, tf.reduce_sum(weights, axis=2, keepdims=True))
