"""Score maps of their own for segmentation and for classification (FCIS section 4.1)."""

import keras
import tensorflow as tf

from fcis_tf.models.convolution import Convolution
from fcis_tf.models.precision import computing_in
from fcis_tf.models.roi_head import ClassChannels, RoiHead, as_float32, as_pairs, small_normal


@keras.saving.register_keras_serializable("fcis_tf")
class SeparateMapsHead(RoiHead):
    """The paper's FCIS with separate score maps: the two tasks share all but the maps.

    Each foreground class has k * k maps for its masks, assembled as InstanceFCN's, with a sigmoid per pixel. Each class
    and the background have k * k other maps for the class, averaged over k * k bins as R-FCN's. Together they are about
    as many as the inside and outside maps.

    Args:
        num_classes: C, without the background.
        channels: of the 1x1 convolution that reduces conv5.
        group_size: k.
        pooled_size: P, of masks and boxes.
        stride: pixels of the image per cell of conv5.
        round_rois: whether RoIs are rounded to whole pixels before they are pooled.

    Call arguments:
        features: [N, H, W, D], conv5.

    Returns:
        A dict: class_maps [N, H, W, k * k * (C + 1)], mask_maps [N, H, W, k * k * C] and box_maps [N, H, W, k * k * 4].
    """

    class_channels = {
        "score_maps_of_classes": ClassChannels(first=0, values=1),
        "score_maps_of_masks": ClassChannels(first=1, values=1),
    }

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
        cells = group_size**2
        self.mask_size = pooled_size
        self.score_map_channels = cells * (2 * num_classes + 1)
        with computing_in(self.dtype_policy):
            self.reduce = Convolution(channels, 1, activation="relu", kernel_initializer="he_normal", name="reduce")
            small = small_normal()
            # The names begin as that of FCIS's score maps does, so that the same learning rate multipliers hold.
            self.class_maps = Convolution(
                cells * (num_classes + 1), 1, kernel_initializer=small, name="score_maps_of_classes"
            )
            self.mask_maps = Convolution(cells * num_classes, 1, kernel_initializer=small, name="score_maps_of_masks")
            self.box_maps = Convolution(cells * 4, 1, kernel_initializer=small, name="box_maps")

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
        for layer in (self.class_maps, self.mask_maps, self.box_maps):
            layer.build(shape)

    def call(self, features, training=False):
        features = self.reduce(features, training=training)
        return {
            "class_maps": self.class_maps(features, training=training),
            "mask_maps": self.mask_maps(features, training=training),
            "box_maps": self.box_maps(features, training=training),
        }

    def assemble_indexed(self, maps, rois, image_indices, labels=None, training=False):
        group_size, pooled_size = self.config["group_size"], self.config["pooled_size"]
        class_bins = self.pool(maps["class_maps"], rois, image_indices, group_size, group_size)
        box_bins = self.pool(maps["box_maps"], rois, image_indices, group_size, pooled_size)
        class_logits = tf.reduce_mean(tf.cast(class_bins, tf.float32), axis=(1, 2))
        box_offsets = tf.reduce_mean(box_bins, axis=(1, 2))
        if labels is None:
            labels = 1 + tf.argmax(class_logits[:, 1:], axis=-1, output_type=tf.int32)
        mask_logits = self._masks_of(labels, maps["mask_maps"], rois, image_indices)
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
