"""The position-sensitive inside/outside head (FCIS sections 3.1 and 3.2)."""

import keras
import tensorflow as tf

from fcis_tf.models.convolution import Convolution
from fcis_tf.models.precision import computing_in
from fcis_tf.models.roi_head import ClassChannels, RoiHead, as_float32, small_normal
from fcis_tf.ops import ps_assemble


@keras.saving.register_keras_serializable("fcis_tf")
class InsideOutsideHead(RoiHead):
    """Computes the score maps and box maps of an image, and assembles them for any number of RoIs.

    Nothing is learned per RoI: all weights act on the whole image, once.

    Args:
        num_classes: C, without the background.
        channels: of the 1x1 convolution that reduces conv5.
        group_size: k; 1 makes it the paper's translation invariant FCIS (section 4.1).
        pooled_size: P.
        stride: pixels of the image per cell of conv5.
        round_rois: whether RoIs are rounded to whole pixels before they are pooled.

    Call arguments:
        features: [N, H, W, D], conv5.

    Returns:
        A dict: score_maps [N, H, W, k * k * (C + 1) * 2] and box_maps [N, H, W, k * k * 4].
    """

    class_channels = {"score_maps": ClassChannels(first=0, values=2)}

    def __init__(self, num_classes, channels=1024, group_size=7, pooled_size=21, stride=16, round_rois=True, **kwargs):
        config = {
            "num_classes": num_classes,
            "channels": channels,
            "group_size": group_size,
            "pooled_size": pooled_size,
            "stride": stride,
            "round_rois": round_rois,
        }
        super().__init__(config, stride, round_rois, **kwargs)
        self.mask_size = pooled_size
        self.score_map_channels = group_size**2 * (num_classes + 1) * 2
        self.pooling = {"group_size": group_size, "pooled_size": pooled_size}
        with computing_in(self.dtype_policy):
            self.reduce = Convolution(channels, 1, activation="relu", kernel_initializer="he_normal", name="reduce")
            small = small_normal()
            self.score_maps = Convolution(self.score_map_channels, 1, kernel_initializer=small, name="score_maps")
            self.box_maps = Convolution(group_size**2 * 4, 1, kernel_initializer=small, name="box_maps")

    @classmethod
    def of_model(cls, config, num_classes, stride, **kwargs):
        return cls(
            num_classes,
            channels=config.head_channels,
            group_size=config.group_size,
            pooled_size=config.pooled_size,
            stride=stride,
            round_rois=config.round_rois,
            **kwargs,
        )

    @staticmethod
    def mask_size_of(config):
        return config.pooled_size

    def build(self, shape):
        self.reduce.build(shape)
        shape = self.reduce.compute_output_shape(shape)
        self.score_maps.build(shape)
        self.box_maps.build(shape)

    def call(self, features, training=False):
        features = self.reduce(features, training=training)
        return {
            "score_maps": self.score_maps(features, training=training),
            "box_maps": self.box_maps(features, training=training),
        }

    def assemble_indexed(self, maps, rois, image_indices, labels=None, training=False):
        sizes = {**self.pooling, "stride": self.stride}
        class_logits, mask_logits = ps_assemble(maps["score_maps"], rois * self.units, image_indices, labels, **sizes)
        box_offsets = tf.reduce_mean(self.pool(maps["box_maps"], rois, image_indices, **self.pooling), axis=(1, 2))
        return as_float32(class_logits, mask_logits, box_offsets)
