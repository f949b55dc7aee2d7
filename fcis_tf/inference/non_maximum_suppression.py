"""Non-maximum suppression in every class, in the graph."""

import tensorflow as tf

from fcis_tf.boxes import iou


def select_detections(boxes, valid, class_probs, score_threshold, nms_threshold, max_detections):
    """Keeps the best, mutually distinct regions of interest of each class (FCIS section 3.4).

    The regions compete within one class only: one that is kept suppresses those of its own class whose IoU with it is
    greater than `nms_threshold`. A region may be kept for several classes.

    Args:
        boxes: [N, R, 4] float32 (ymin, xmin, ymax, xmax), R > 0.
        valid: [N, R] bool; False is padding.
        class_probs: [N, R, C + 1] float32, the background first.
        score_threshold: regions of greater probability are candidates for a class.
        nms_threshold: see above.
        max_detections: D.

    Returns:
        regions [N, D] int32, classes [N, D] int32 in 1..C and scores [N, D] float32 in falling order. Where there are
        fewer, the rest is padding, and all three are 0.
    """
    candidate = valid[..., None] & (class_probs[..., 1:] > score_threshold)
    scores = tf.transpose(tf.where(candidate, class_probs[..., 1:], 0.0), [0, 2, 1])
    same = tf.eye(tf.shape(boxes)[1], dtype=tf.bool)
    suppresses = (iou(boxes, boxes) > nms_threshold) | same
    regions, classes, scores = _greedy_selection(scores, suppresses, max_detections)
    kept = scores > 0
    return tf.where(kept, regions, 0), tf.where(kept, classes + 1, 0), scores


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
    images = tf.range(tf.shape(scores)[0])

    def select(step, scores, best_of_class, rois, classes, best_scores):
        # Only the class of the selection changes: the other classes' best are those of the step before.
        cls = tf.argmax(best_of_class, axis=1, output_type=tf.int32)
        row = tf.stack([images, cls], axis=1)
        of_class = tf.gather_nd(scores, row)
        roi = tf.argmax(of_class, axis=1, output_type=tf.int32)
        ruled_out = tf.gather_nd(suppresses, tf.stack([images, roi], axis=1))
        remaining = tf.where(ruled_out, 0.0, of_class)
        best_scores = best_scores.write(step, tf.reduce_max(of_class, axis=1))
        best_of_class = tf.tensor_scatter_nd_update(best_of_class, row, tf.reduce_max(remaining, axis=1))
        scores = tf.tensor_scatter_nd_update(scores, row, remaining)
        return step + 1, scores, best_of_class, rois.write(step, roi), classes.write(step, cls), best_scores

    arrays = [tf.TensorArray(dtype, limit) for dtype in (tf.int32, tf.int32, tf.float32)]
    state = 0, scores, tf.reduce_max(scores, axis=2), *arrays
    _, _, _, *selected = tf.while_loop(lambda step, *_: step < limit, select, state)
    return [tf.transpose(array.stack()) for array in selected]
