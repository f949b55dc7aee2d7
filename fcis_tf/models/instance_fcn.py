"""InstanceFCN (Dai et al. 2016, "Instance-sensitive fully convolutional networks"), which proposes masks."""

import keras
import tensorflow as tf

from fcis_tf.models.anchors import make_anchors
from fcis_tf.models.atrous_resnet import AtrousResNet
from fcis_tf.models.convolution import Convolution
from fcis_tf.models.fcis import STRIDE
from fcis_tf.models.precision import computing_in
from fcis_tf.models.roi_head import small_normal
from fcis_tf.ops import ps_roi_pool


class InstanceFCN(keras.Model):
    """Scores every sliding window of an image by whether it shows an object, and assembles the object's mask in it.

    A window is a square of one size around each cell of conv5; objects of other sizes are found in the other images of
    a pyramid (InstanceFCN section 3.3). Its mask comes from k * k instance-sensitive maps, which know no classes.

    Args:
        config: a `fcis_tf.config.ModelConfig`.
    """

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.mask_size = config.pooled_size
        self.window = config.window
        self._group_size = config.group_size
        self.backbone = AtrousResNet.of_model(config, name="backbone")
        with computing_in(config.precision):
            self.reduce = Convolution(
                config.head_channels, 1, activation="relu", kernel_initializer="he_normal", name="reduce"
            )
            self.mask_maps = Convolution(
                config.group_size**2, 3, padding="same", kernel_initializer=small_normal(), name="mask_maps"
            )
            self.objectness_features = Convolution(
                config.rpn_channels,
                3,
                padding="same",
                activation="relu",
                kernel_initializer="he_normal",
                name="objectness_features",
            )
            self.objectness = Convolution(1, 1, kernel_initializer=small_normal(), name="objectness")

    def propose(self, images, image_sizes=None, training=False):
        """Computes all that does not depend on which windows are looked at.

        Args:
            images: [N, H, W, 3] float32, RGB minus the ImageNet mean, padded on the right and bottom.
            image_sizes: [N, 2] int32, (height, width) of each image without its padding; None for no padding.

        Returns:
            A dict: mask_maps [N, h, w, k * k], objectness_logits [N, h * w] float32, windows [h * w, 4] float32 in
            pixels and image_sizes.
        """
        if image_sizes is None:
            image_sizes = tf.tile(tf.shape(images)[None, 1:3], [tf.shape(images)[0], 1])
        _, features = self.backbone(images, training=training)
        count, height, width = tf.unstack(tf.shape(features)[:3])
        objectness = self.objectness(self.objectness_features(features))
        return {
            "mask_maps": self.mask_maps(self.reduce(features)),
            "objectness_logits": tf.cast(tf.reshape(objectness, [count, height * width]), tf.float32),
            "windows": make_anchors(height, width, scales=[self.window / STRIDE], ratios=[1.0], stride=STRIDE),
            "image_sizes": image_sizes,
        }

    def assemble(self, maps, windows):
        """Assembles the masks of windows (InstanceFCN section 3.1).

        Args:
            maps: what `propose` returned.
            windows: [N, R, 4] float32 in pixels.

        Returns:
            [N, R, P, P] float32, the logits of each cell to be inside the object.
        """
        batch, count = tf.unstack(tf.shape(windows)[:2])
        images = tf.repeat(tf.range(batch), count)
        sizes = {"group_size": self._group_size, "pooled_size": self.mask_size, "stride": STRIDE}
        logits = ps_roi_pool(maps["mask_maps"], tf.reshape(windows, [-1, 4]), images, **sizes)
        return tf.cast(tf.reshape(logits, [batch, count, self.mask_size, self.mask_size]), tf.float32)

    def call(self, images, image_sizes=None, training=False):
        """Returns what `propose` does, with mask_logits [N, h * w, P, P] of all windows."""
        maps = self.propose(images, image_sizes, training)
        windows = tf.tile(maps["windows"][None], [tf.shape(images)[0], 1, 1])
        return {**maps, "mask_logits": self.assemble(maps, windows)}
