"""From scored regions of interest to detections, in the graph."""

import tensorflow as tf

from fcis_tf.boxes import clip
from fcis_tf.inference.mask_voting import voting_weights
from fcis_tf.inference.non_maximum_suppression import select_detections


def detect(regions, image_sizes, inference_config):
    """Selects detections and the regions of interest that make their masks (FCIS section 3.4).

    Without mask voting a detection's mask is that of its region alone.

    Args:
        regions: of a batch of N images, as `score_regions` returns them; R > 0.
        image_sizes: [N, 2] int32, height and width of each image without its padding; boxes are clipped to it.
        inference_config: an InferenceConfig; gives `score_threshold`, `nms_threshold`, `max_detections` (D), and
            `mask_voting` with its `merge_threshold`.

    Returns:
        A dict of tensors, detections in order of falling score and padded with zeros:
            boxes: [N, D, 4] float32 (ymin, xmin, ymax, xmax), in pixels of the same images.
            scores: [N, D] float32, the probability of the class.
            classes: [N, D] int32 in 1..C; 0 is padding.
            num_detections: [N] int32, how many of the D are real.
            rois: [N, R, 4] float32, all regions, in pixels of the same images.
            roi_masks: [N, R, P, P] float32, the probability of each cell of a region to be inside the instance.
            votes: [N, D, R] float32, how much each region counts for each detection's mask; see `render_masks`.
    """
    config = inference_config
    rois, valid, class_probs = clip(regions["rois"], image_sizes), regions["rois_valid"], regions["class_probs"]
    selected, classes, scores = select_detections(
        rois, valid, class_probs, config.score_threshold, config.nms_threshold, config.max_detections
    )
    kept = scores > 0
    if config.mask_voting:
        votes = voting_weights(rois, valid, class_probs, selected, classes, config.merge_threshold)
    else:
        votes = tf.where(kept[..., None], tf.one_hot(selected, tf.shape(rois)[1]), 0.0)
    return {
        "boxes": tf.where(kept[..., None], tf.gather(rois, selected, batch_dims=1), 0.0),
        "scores": scores,
        "classes": classes,
        "num_detections": tf.reduce_sum(tf.cast(kept, tf.int32), axis=1),
        "rois": rois,
        "roi_masks": regions["mask_probs"],
        "votes": votes,
    }
