"""From scored regions of interest to detections: per-class non-maximum suppression, in the graph."""

import tensorflow as tf

from fcis_tf.boxes import clip, iou
from fcis_tf.inference.mask_voting import vote_masks


def detect(outputs, image_sizes, inference_config):
    """Keeps the best, mutually distinct regions of interest of each class and votes on their masks (FCIS section 3.4).

    The regions compete within one class only: one that is kept suppresses those of its own class whose IoU with it is
    greater than `nms_threshold`. A region may be kept for several classes; its mask, which the network gives for its
    most probable foreground class, then serves all of them, as in the paper's authors' code.

    Args:
        outputs: the model's outputs for a batch of N images: `rois` [N, R, 4] float32 in pixels of the padded images
            (R > 0), `rois_valid` [N, R] bool, `class_logits` [N, R, C + 1] float32 with the background first, and
            `mask_logits` [N, R, P, P, 2] float32 (outside, inside).
        image_sizes: [N, 2] int32, height and width of each image without its padding; boxes are clipped to it.
        inference_config: an InferenceConfig; gives `score_threshold`, `nms_threshold`, `max_detections` (D), and
            `mask_voting` with its `merge_threshold`.

    Returns:
        A dict of tensors, detections in order of falling score and padded with zeros:
            boxes: [N, D, 4] float32 (ymin, xmin, ymax, xmax), in pixels of the same images.
            scores: [N, D] float32, the probability of the class.
            classes: [N, D] int32 in 1..C; 0 is padding.
            mask_boxes: [N, D, 4] float32, the box that each mask covers: around all voters with mask voting, else the
                detection's own.
            mask_probs: [N, D, M, M] float32, the probability of each cell of that box to be inside the instance; M is
                P, or 2 P with mask voting.
            num_detections: [N] int32, how many of the D are real.
    """
    boxes = clip(outputs["rois"], image_sizes)
    scores = _candidate_scores(outputs, inference_config.score_threshold)
    same = tf.eye(tf.shape(boxes)[1], dtype=tf.bool)
    suppresses = (iou(boxes, boxes) > inference_config.nms_threshold) | same
    rois, classes, scores = _greedy_selection(scores, suppresses, inference_config.max_detections)

    kept = scores > 0
    classes = tf.where(kept, classes + 1, 0)
    detected = tf.where(kept[..., None], tf.gather(boxes, rois, batch_dims=1), 0.0)
    if inference_config.mask_voting:
        # Voters are not aligned with each other: their average has more detail than one of them.
        size = 2 * tf.shape(outputs["mask_logits"])[-2]
        mask_probs, mask_boxes = vote_masks(outputs, detected, classes, inference_config.merge_threshold, size)
    else:
        mask_probs = tf.nn.softmax(tf.gather(outputs["mask_logits"], rois, batch_dims=1))[..., 1]
        mask_boxes = detected
    return {
        "boxes": detected,
        "scores": scores,
        "classes": classes,
        "mask_boxes": mask_boxes,
        "mask_probs": tf.where(kept[..., None, None], mask_probs, 0.0),
        "num_detections": tf.reduce_sum(tf.cast(kept, tf.int32), axis=1),
    }


def _candidate_scores(outputs, threshold):
    """Returns the probabilities of the foreground classes [N, C, R], 0 where there is nothing to detect."""
    probabilities = tf.nn.softmax(outputs["class_logits"])[..., 1:]
    candidate = outputs["rois_valid"][..., None] & (probabilities > threshold)
    return tf.transpose(tf.where(candidate, probabilities, 0.0), [0, 2, 1])


def _greedy_selection(scores, suppresses, limit):
    """Selects the highest score again and again, each time suppressing what it rules out in its class.

    Going through all classes in one order of falling scores selects the same as a suppression in every class of its
    own followed by a cut to the best `limit`, yet ends after `limit` steps, whatever the number of candidates.

    Args:
        scores: [N, C, R] float32, 0 for no candidate.
        suppresses: [N, R, R] bool, whether the region of the row, once selected, rules out that of the column.
        limit: at most so many selections an image.

    Returns:
        Regions [N, limit] int32, classes [N, limit] int32 counted from 0, and scores [N, limit] float32, which are 0
        where the candidates have run out.
    """
    num_images, num_classes, num_rois = tf.unstack(tf.shape(scores))

    def select(step, scores, rois, classes, best_scores):
        flat = tf.reshape(scores, [num_images, -1])
        best = tf.argmax(flat, axis=1, output_type=tf.int32)
        roi, cls = best % num_rois, best // num_rois
        best_scores = best_scores.write(step, tf.gather(flat, best, batch_dims=1))
        of_class = tf.one_hot(cls, num_classes, on_value=True, off_value=False)
        ruled_out = of_class[:, :, None] & tf.gather(suppresses, roi, batch_dims=1)[:, None]
        remaining = tf.ensure_shape(tf.where(ruled_out, 0.0, scores), scores.shape)
        return step + 1, remaining, rois.write(step, roi), classes.write(step, cls), best_scores

    arrays = [tf.TensorArray(dtype, limit) for dtype in (tf.int32, tf.int32, tf.float32)]
    _, _, *selected = tf.while_loop(lambda step, *_: step < limit, select, (0, scores, *arrays))
    return [tf.transpose(array.stack()) for array in selected]
