"""The position-sensitive inside/outside head (FCIS sections 3.1 and 3.2)."""

import keras
import tensorflow as tf

from fcis_tf.models.position_sensitive_head import PositionSensitiveHead
from fcis_tf.models.roi_head import ClassChannels, as_float32
from fcis_tf.ops import ps_assemble


@keras.saving.register_keras_serializable("fcis_tf")
class InsideOutsideHead(PositionSensitiveHead):
    """Computes the score maps and box maps of an image, and assembles them for any number of RoIs.

    With a `group_size` of 1 it is that of the paper's translation invariant FCIS (section 4.1). The arguments are those
    of PositionSensitiveHead.

    Returns:
        A dict: score_maps [N, H, W, k * k * (C + 1) * 2] and box_maps [N, H, W, k * k * 4].
    """

    class_channels = {"score_maps": ClassChannels(first=0, values=2)}

    def __init__(self, num_classes, **kwargs):
        super().__init__(num_classes, **kwargs)
        self.score_maps = self.add_maps("score_maps", (num_classes + 1) * 2)
        self.box_maps = self.add_maps("box_maps", 4)

    def assemble_indexed(self, maps, rois, image_indices, labels=None, training=False):
        pooling = {"group_size": self.config["group_size"], "pooled_size": self.config["pooled_size"]}
        score_maps, sizes = maps["score_maps"], {**pooling, "stride": self.stride}
        class_logits, mask_logits = ps_assemble(score_maps, rois * self.units, image_indices, labels, **sizes)
        box_offsets = tf.reduce_mean(self.pool(maps["box_maps"], rois, image_indices, **pooling), axis=(1, 2))
        return as_float32(class_logits, mask_logits, box_offsets)
