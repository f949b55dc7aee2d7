"""Fully connected layers on pooled features of conv5: the paper's naive MNC (FCIS section 4.1)."""

import keras
import tensorflow as tf

from fcis_tf.models.precision import computing_in
from fcis_tf.models.roi_head import ClassChannels, RoiHead, as_float32, as_pairs, small_normal

# Of the mask, whose 28 x 28 cells are the paper's 784 outputs.
MASK_SIZE = 28
# Into which a RoI is pooled. The paper doesn't say; 7 x 7 is what Faster R-CNN's fully connected layers see.
POOLED_SIZE = 7


@keras.saving.register_keras_serializable("fcis_tf")
class NaiveMNCHead(RoiHead):
    """All of the ResNet works on the whole image; the RoIs' pooled features go through fully connected layers.

    One has 28 * 28 outputs, the class-agnostic mask, one has C + 1, the class, and one 4, the box.

    Args:
        num_classes: C, without the background.
        stride: pixels of the image per cell of conv5.
        round_rois: whether RoIs are rounded to whole pixels before they are pooled.

    Call arguments:
        features: [N, H, W, D], conv5.

    Returns:
        A dict: roi_features, the features as they are.
    """

    mask_size = MASK_SIZE
    class_channels = {"classes": ClassChannels(first=0, values=1)}

    def __init__(self, num_classes, stride=16, round_rois=True, **kwargs):
        config = {"num_classes": num_classes, "stride": stride, "round_rois": round_rois}
        super().__init__(config, stride, round_rois, **kwargs)
        with computing_in(self.dtype_policy):
            self.masks = keras.layers.Dense(MASK_SIZE**2, kernel_initializer=small_normal(), name="masks")
            self.classes = keras.layers.Dense(num_classes + 1, kernel_initializer=small_normal(), name="classes")
            self.boxes = keras.layers.Dense(4, kernel_initializer=small_normal(), name="boxes")

    @classmethod
    def of_model(cls, config, num_classes, stride, **kwargs):
        return cls(num_classes, stride=stride, round_rois=config.round_rois, **kwargs)

    @staticmethod
    def mask_size_of(config):
        return MASK_SIZE

    def build(self, shape):
        self.pooled_values = POOLED_SIZE**2 * shape[-1]
        for layer in (self.masks, self.classes, self.boxes):
            layer.build((None, self.pooled_values))

    def call(self, features, training=False):
        return {"roi_features": features}

    def assemble_indexed(self, maps, rois, image_indices, labels=None, training=False):
        pooled = self.pool(maps["roi_features"], rois, image_indices, group_size=1, pooled_size=POOLED_SIZE)
        pooled = tf.reshape(pooled, [-1, self.pooled_values])
        mask_logits = tf.reshape(self.masks(pooled), [-1, MASK_SIZE, MASK_SIZE])
        return as_float32(self.classes(pooled), as_pairs(mask_logits), self.boxes(pooled))
