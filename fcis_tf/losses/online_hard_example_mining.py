"""Online hard example mining (Shrivastava et al. 2016; FCIS section 3.3)."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("fcis_tf")
class OnlineHardExampleMining(keras.Layer):
    """Selects, in every image, the RoIs of highest loss.

    All RoIs have been through the forward pass; only the selected ones should contribute to the loss.

    Args:
        rois_per_image: how many to select.

    Call arguments:
        losses: [N, R] float32, the loss of every RoI.
        valid: [N, R] bool, the RoIs that may be selected.

    Returns:
        [N, R] bool, with min(rois_per_image, valid RoIs) selected in each row; no gradient passes.
    """

    def __init__(self, rois_per_image=128, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        self.rois_per_image = rois_per_image

    def call(self, losses, valid):
        losses = tf.where(valid, tf.stop_gradient(losses), -float("inf"))
        _, hardest = tf.math.top_k(losses, tf.minimum(self.rois_per_image, tf.shape(losses)[1]))
        selected = tf.reduce_any(tf.one_hot(hardest, tf.shape(losses)[1], on_value=True, off_value=False), axis=1)
        return selected & valid

    def get_config(self):
        return {**super().get_config(), "rois_per_image": self.rois_per_image}
