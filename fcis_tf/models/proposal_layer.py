"""From the RPN's outputs to regions of interest (Faster R-CNN section 3.3)."""

import keras
import tensorflow as tf

from fcis_tf import boxes


@keras.saving.register_keras_serializable("fcis_tf")
class ProposalLayer(keras.Layer):
    """Decodes, clips, filters and suppresses; passes no gradient.

    Args:
        before_nms: how many of the highest scores go into non-maximum suppression.
        nms_threshold: IoU above which the lower score is suppressed.
        after_nms: R, how many come out.
        min_size: boxes lower or narrower than this many pixels are dropped.

    Call arguments:
        logits: [N, A, 2] float32 (background, foreground).
        offsets: [N, A, 4] float32 (dy, dx, dh, dw).
        anchors: [A, 4] float32 in pixels.
        image_sizes: [N, 2] int32, (height, width) of the content of the padded images.

    Returns:
        rois [N, R, 4] float32 in pixels by falling score, zeros where there are fewer; valid [N, R] bool.
    """

    def __init__(self, before_nms=6000, nms_threshold=0.7, after_nms=300, min_size=0.0, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        self.config = {
            "before_nms": before_nms,
            "nms_threshold": nms_threshold,
            "after_nms": after_nms,
            "min_size": min_size,
        }

    def call(self, logits, offsets, anchors, image_sizes):
        scores = tf.stop_gradient(logits[..., 1] - logits[..., 0])
        # Only the candidates are decoded: there are far fewer of them than anchors.
        _, candidates = tf.math.top_k(scores, tf.minimum(self.config["before_nms"], tf.shape(scores)[1]))
        offsets = tf.gather(tf.stop_gradient(offsets), candidates, batch_dims=1)
        rois = boxes.clip(boxes.decode(offsets, tf.gather(anchors, candidates)), image_sizes)
        # A clipped box can be empty even where no minimum is asked for.
        large = tf.reduce_all(rois[..., 2:] - rois[..., :2] >= max(self.config["min_size"], 1e-3), axis=-1)
        # The operator wants positive scores, and only their order matters: the candidates come by falling score.
        order = tf.range(tf.shape(candidates)[1], 0, -1)
        selected = tf.image.combined_non_max_suppression(
            rois[:, :, None, :],
            tf.cast(tf.where(large, order, 0), tf.float32)[..., None],
            max_output_size_per_class=self.config["after_nms"],
            max_total_size=self.config["after_nms"],
            iou_threshold=self.config["nms_threshold"],
            score_threshold=0.0,
            clip_boxes=False,
        )
        valid = tf.range(self.config["after_nms"]) < selected.valid_detections[:, None]
        return selected.nmsed_boxes, valid

    def get_config(self):
        return {**super().get_config(), **self.config}
