"""Score maps of their own for segmentation and for classification (FCIS section 4.1)."""

import keras
import tensorflow as tf

from fcis_tf.models.rfcn_head import RFCNHead
from fcis_tf.models.roi_head import ClassChannels, as_float32, as_pairs


@keras.saving.register_keras_serializable("fcis_tf")
class SeparateMapsHead(RFCNHead):
    """The paper's FCIS with separate score maps: the two tasks share all but the maps.

    Classes and boxes are R-FCN's. Besides, each foreground class has k * k maps for its masks, assembled as
    InstanceFCN's, with a sigmoid per pixel. All maps of classes together are about as many as the inside and outside
    maps. The arguments are those of PositionSensitiveHead.

    Returns:
        A dict: that of RFCNHead, and score_maps_of_masks [N, H, W, k * k * C].
    """

    class_channels = {**RFCNHead.class_channels, "score_maps_of_masks": ClassChannels(first=1, values=1)}

    def __init__(self, num_classes, **kwargs):
        super().__init__(num_classes, **kwargs)
        self.mask_size = self.config["pooled_size"]
        self.add_maps("score_maps_of_masks", num_classes)

    @staticmethod
    def mask_size_of(config):
        return config.pooled_size

    def assemble_indexed(self, maps, rois, image_indices, labels=None, training=False):
        class_logits, _, box_offsets = super().assemble_indexed(maps, rois, image_indices)
        if labels is None:
            labels = 1 + tf.argmax(class_logits[:, 1:], axis=-1, output_type=tf.int32)
        mask_logits = self._masks_of(labels, maps["score_maps_of_masks"], rois, image_indices)
        return as_float32(class_logits, as_pairs(mask_logits), box_offsets)

    def _masks_of(self, labels, mask_maps, rois, image_indices):
        """Pools the maps of each RoI's own class alone; returns [R, P, P]. The background's mask is of the first."""
        group_size, classes = self.config["group_size"], self.config["num_classes"]
        batch, height, width, _ = tf.unstack(tf.shape(mask_maps))
        # A class of an image is what an image is to the operator.
        by_class = tf.transpose(tf.reshape(mask_maps, [batch, height, width, group_size**2, classes]), [0, 4, 1, 2, 3])
        by_class = tf.reshape(by_class, [batch * classes, height, width, group_size**2])
        indices = image_indices * classes + tf.maximum(labels, 1) - 1
        return self.pool(by_class, rois, indices, group_size, self.config["pooled_size"])[..., 0]
