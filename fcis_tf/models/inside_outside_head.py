"""The position-sensitive inside/outside head (FCIS sections 3.1 and 3.2)."""

import keras
import tensorflow as tf

from fcis_tf.models.convolution import Convolution
from fcis_tf.models.precision import computing_in
from fcis_tf.ops import ps_assemble, ps_roi_pool


@keras.saving.register_keras_serializable("fcis_tf")
class InsideOutsideHead(keras.Layer):
    """Computes the score maps and box maps of an image, and assembles them for any number of RoIs.

    Nothing is learned per RoI: all weights act on the whole image, once.

    Args:
        num_classes: C, without the background.
        channels: of the 1x1 convolution that reduces conv5.
        group_size: k.
        pooled_size: P.
        stride: pixels of the image per cell of conv5.
        round_rois: whether RoIs are rounded to whole pixels before they are pooled.

    Call arguments:
        features: [N, H, W, D], conv5.

    Returns:
        score_maps [N, H, W, k * k * (C + 1) * 2] and box_maps [N, H, W, k * k * 4].
    """

    def __init__(self, num_classes, channels=1024, group_size=7, pooled_size=21, stride=16, round_rois=True, **kwargs):
        super().__init__(**kwargs)
        self.config = {
            "num_classes": num_classes,
            "channels": channels,
            "group_size": group_size,
            "pooled_size": pooled_size,
            "stride": stride,
            "round_rois": round_rois,
        }
        # The operators round boxes to whole units: of pixels, or of such fractions that float32 has nothing finer.
        self.units = 1.0 if round_rois else 2.0**16
        self.pooling = {"group_size": group_size, "pooled_size": pooled_size, "stride": stride * self.units}
        with computing_in(self.dtype_policy):
            self.reduce = Convolution(
                channels, 1, activation="relu", kernel_initializer="he_normal", name="reduce"
            )
            small = keras.initializers.RandomNormal(stddev=0.01)
            self.score_maps = Convolution(
                group_size**2 * (num_classes + 1) * 2, 1, kernel_initializer=small, name="score_maps"
            )
            self.box_maps = Convolution(group_size**2 * 4, 1, kernel_initializer=small, name="box_maps")

    def build(self, shape):
        self.reduce.build(shape)
        shape = self.reduce.compute_output_shape(shape)
        self.score_maps.build(shape)
        self.box_maps.build(shape)

    def call(self, features, training=False):
        features = self.reduce(features, training=training)
        return self.score_maps(features, training=training), self.box_maps(features, training=training)

    def assemble(self, score_maps, box_maps, rois, labels=None):
        """Assembles the outputs of every RoI.

        Args:
            score_maps, box_maps: as `call` returns them.
            rois: [N, R, 4] float32 in pixels.
            labels: [N, R] int32, the class whose mask is wanted; None for the best foreground class.

        Returns:
            class_logits [N, R, C + 1], mask_logits [N, R, P, P, 2] (outside, inside) and box_offsets [N, R, 4]
            (dy, dx, dh, dw, in units of the box targets' standard deviations), float32.
        """
        batch, count = tf.unstack(tf.shape(rois)[:2])
        images = tf.repeat(tf.range(batch), count)
        labels = None if labels is None else tf.reshape(labels, [-1])
        outputs = self.assemble_indexed(score_maps, box_maps, tf.reshape(rois, [-1, 4]), images, labels)
        return tuple(tf.reshape(x, tf.concat([[batch, count], tf.shape(x)[1:]], axis=0)) for x in outputs)

    def assemble_indexed(self, score_maps, box_maps, rois, image_indices, labels=None):
        """Assembles the outputs of RoIs of which some images may have more than others; see `assemble`.

        Args:
            score_maps, box_maps: as `call` returns them.
            rois: [R, 4] float32 in pixels.
            image_indices: [R] int32, the image of the batch that each RoI lies in.
            labels: [R] int32, or None.

        Returns:
            class_logits [R, C + 1], mask_logits [R, P, P, 2] and box_offsets [R, 4], float32.
        """
        boxes = rois * self.units
        class_logits, mask_logits = ps_assemble(score_maps, boxes, image_indices, labels, **self.pooling)
        box_offsets = tf.reduce_mean(ps_roi_pool(box_maps, boxes, image_indices, **self.pooling), axis=(1, 2))
        return tuple(tf.cast(x, tf.float32) for x in (class_logits, mask_logits, box_offsets))

    def get_config(self):
        return {**super().get_config(), **self.config}
