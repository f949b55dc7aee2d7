"""The region proposal network on conv4 (Faster R-CNN section 3.1)."""

import keras

from fcis_tf.models.convolution import Convolution
from fcis_tf.models.precision import computing_in


@keras.saving.register_keras_serializable("fcis_tf")
class RegionProposalNetwork(keras.Layer):
    """Scores and moves every anchor.

    Args:
        anchors_per_cell: A.
        channels: of the 3x3 convolution.

    Call arguments:
        features: [N, H, W, D], conv4.

    Returns:
        logits [N, H * W * A, 2] (background, foreground) and offsets [N, H * W * A, 4] (dy, dx, dh, dw), float32, in
        the order of `make_anchors`.
    """

    def __init__(self, anchors_per_cell, channels=512, **kwargs):
        super().__init__(**kwargs)
        self.config = {"anchors_per_cell": anchors_per_cell, "channels": channels}
        with computing_in(self.dtype_policy):
            self.convolution = Convolution(
                channels, 3, padding="same", activation="relu", kernel_initializer="he_normal", name="conv"
            )
            small = keras.initializers.RandomNormal(stddev=0.01)
            self.logits = Convolution(2 * anchors_per_cell, 1, kernel_initializer=small, name="logits")
            self.offsets = Convolution(4 * anchors_per_cell, 1, kernel_initializer=small, name="offsets")

    def build(self, shape):
        self.convolution.build(shape)
        shape = self.convolution.compute_output_shape(shape)
        self.logits.build(shape)
        self.offsets.build(shape)

    def call(self, features):
        features = self.convolution(features)
        batch = keras.ops.shape(features)[0]
        logits = keras.ops.reshape(self.logits(features), [batch, -1, 2])
        offsets = keras.ops.reshape(self.offsets(features), [batch, -1, 4])
        return keras.ops.cast(logits, "float32"), keras.ops.cast(offsets, "float32")

    def get_config(self):
        return {**super().get_config(), **self.config}
