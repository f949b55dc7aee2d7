"""The head of R-FCN (Dai et al. 2016, "R-FCN"), which finds boxes."""

import keras
import tensorflow as tf

from fcis_tf.models.position_sensitive_head import PositionSensitiveHead
from fcis_tf.models.roi_head import ClassChannels, as_float32


@keras.saving.register_keras_serializable("fcis_tf")
class RFCNHead(PositionSensitiveHead):
    """Each class and the background have k * k maps, averaged over k * k bins (R-FCN section 2); so have the boxes.

    It has no masks: theirs have no cells, P = 0. The arguments are those of PositionSensitiveHead.

    Returns:
        A dict: score_maps_of_classes [N, H, W, k * k * (C + 1)] and box_maps [N, H, W, k * k * 4].
    """

    # The name begins as that of FCIS's score maps does, so that the same learning rate multipliers hold.
    class_channels = {"score_maps_of_classes": ClassChannels(first=0, values=1)}

    def __init__(self, num_classes, **kwargs):
        super().__init__(num_classes, **kwargs)
        self.mask_size = 0
        self.add_maps("score_maps_of_classes", num_classes + 1)
        self.add_maps("box_maps", 4)

    @staticmethod
    def mask_size_of(config):
        return 0

    def assemble_indexed(self, maps, rois, image_indices, labels=None, training=False):
        group_size, pooled_size = self.config["group_size"], self.config["pooled_size"]
        class_bins = self.pool(maps["score_maps_of_classes"], rois, image_indices, group_size, group_size)
        box_bins = self.pool(maps["box_maps"], rois, image_indices, group_size, pooled_size)
        class_logits = tf.reduce_mean(tf.cast(class_bins, tf.float32), axis=(1, 2))
        no_masks = tf.zeros([tf.shape(rois)[0], 0, 0, 2])
        return as_float32(class_logits, no_masks, tf.reduce_mean(box_bins, axis=(1, 2)))
