"""A stand-in for the network that finds the same thing in every image."""

import tensorflow as tf


class QuarterModel:
    """Finds one instance of class 2, which fills the top left quarter of the image.

    Attributes:
        second_pass: whether it was last asked for a second pass.
        traces: how many times it was called from Python.
        variables: none.
    """

    def __init__(self):
        self.second_pass = None
        self.traces = 0
        self.variables = []

    def __call__(self, images, image_sizes, second_pass, training):
        assert not training
        self.second_pass = second_pass
        self.traces += 1
        number = tf.shape(images)[0]
        size = tf.cast(image_sizes, tf.float32)
        return {
            "rois": tf.concat([tf.zeros_like(size), size / 2], axis=1)[:, None],
            "rois_valid": tf.ones([number, 1], tf.bool),
            "class_logits": tf.tile([[[0.0, -9.0, 5.0]]], [number, 1, 1]),
            "mask_logits": tf.tile(tf.reshape([-9.0, 9.0], [1, 1, 1, 1, 2]), [number, 1, 3, 3, 1]),
        }
