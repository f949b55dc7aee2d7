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
        rank_by: what scores are: "probability", of the foreground, or "foreground_logit".
        whole_cells_only: whether anchors of cells that the image covers in part are left out.
        stride: pixels of the image per cell.

    Call arguments:
        logits: [N, A, 2] float32 (background, foreground).
        offsets: [N, A, 4] float32 (dy, dx, dh, dw).
        anchors: [A, 4] float32 in pixels.
        image_sizes: [N, 2] int32, (height, width) of the content of the padded images.

    Returns:
        rois [N, R, 4] float32 in pixels by falling score, zeros where there are fewer; valid [N, R] bool.
    """

    def __init__(
        self,
        before_nms=6000,
        nms_threshold=0.7,
        after_nms=300,
        min_size=0.0,
        rank_by="probability",
        whole_cells_only=False,
        stride=16,
        dtype="float32",
        **kwargs,
    ):
        super().__init__(dtype=dtype, **kwargs)
        self.config = {
            "before_nms": before_nms,
            "nms_threshold": nms_threshold,
            "after_nms": after_nms,
            "min_size": min_size,
            "rank_by": rank_by,
            "whole_cells_only": whole_cells_only,
            "stride": stride,
        }

    def call(self, logits, offsets, anchors, image_sizes):
        # The difference of the logits ranks as the probability does.
        background = logits[..., 0] if self.config["rank_by"] == "probability" else 0.0
        scores = tf.stop_gradient(logits[..., 1] - background)
        decoded = boxes.clip(boxes.decode(tf.stop_gradient(offsets), anchors), image_sizes)
        # A clipped box can be empty even where no minimum is asked for.
        large = tf.reduce_all(decoded[..., 2:] - decoded[..., :2] >= max(self.config["min_size"], 1e-3), axis=-1)
        usable = large & self._in_usable_cells(anchors, image_sizes)
        scores = tf.where(usable, scores, scores.dtype.min)
        _, candidates = tf.math.top_k(scores, tf.minimum(self.config["before_nms"], tf.shape(scores)[1]))
        rois, usable = (tf.gather(values, candidates, batch_dims=1) for values in (decoded, usable))
        # The operator wants positive scores, and only their order matters: the candidates come by falling score.
        order = tf.range(tf.shape(candidates)[1], 0, -1)
        selected = tf.image.combined_non_max_suppression(
            rois[:, :, None, :],
            tf.cast(tf.where(usable, order, 0), tf.float32)[..., None],
            max_output_size_per_class=self.config["after_nms"],
            max_total_size=self.config["after_nms"],
            iou_threshold=self.config["nms_threshold"],
            score_threshold=0.0,
            clip_boxes=False,
        )
        valid = tf.range(self.config["after_nms"]) < selected.valid_detections[:, None]
        return selected.nmsed_boxes, valid

    def _in_usable_cells(self, anchors, image_sizes):
        """Returns [N, A] bool, or a single True."""
        if not self.config["whole_cells_only"]:
            return True
        ends = (anchors[:, :2] + anchors[:, 2:] + self.config["stride"]) / 2.0
        return tf.reduce_all(ends <= tf.cast(image_sizes, tf.float32)[:, None], axis=-1)

    def get_config(self):
        return {**super().get_config(), **self.config}
