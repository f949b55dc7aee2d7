"""What the heads of all compared systems have in common."""

from typing import NamedTuple

import keras
import tensorflow as tf

from fcis_tf.ops import ps_roi_pool


class ClassChannels(NamedTuple):
    """How the output channels of a layer belong to classes: [..., cell of a grid, class, value].

    Attributes:
        first: the first class, 0 for the background.
        values: how many a class has in each cell.
    """

    first: int
    values: int


class RoiHead(keras.Layer):
    """Computes maps of a whole image, once, and from them the outputs of any number of RoIs.

    A subclass has `call`, which makes the maps, a dict, `assemble_indexed`, and what it computes with. `assemble`
    gives class logits, mask logits and box offsets in the same form whatever the subclass, so that training and
    inference know nothing of it.

    Args:
        config: dict of the subclass's own arguments; those here are among them.
        stride: pixels of the image per cell of the maps.
        round_rois: whether RoIs are rounded to whole pixels before they are pooled.

    Attributes:
        mask_size: side of the masks in cells.
        class_channels: a dict, by the names of layers whose channels belong to classes, of ClassChannels.
        score_map_channels: of all position-sensitive maps together.
    """

    # Stages of the trunk that work on the whole image: conv1 to conv5.
    trunk_stages = 5
    score_map_channels = 0

    def __init__(self, config, stride, round_rois, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        # The operators round boxes to whole units: of pixels, or of such fractions that float32 has nothing finer.
        self.units = 1.0 if round_rois else 2.0**16
        self.stride = stride * self.units

    @classmethod
    def of_model(cls, config, num_classes, stride, **kwargs):
        """Makes the head that a ModelConfig describes; kwargs are those of `keras.Layer`."""
        raise NotImplementedError

    @staticmethod
    def mask_size_of(config):
        """Returns the side of the masks, in cells, of the head that a ModelConfig describes."""
        raise NotImplementedError

    def assemble_indexed(self, maps, rois, image_indices, labels=None, training=False):
        """Computes the outputs of RoIs of which some images may have more than others; see `assemble`.

        Args:
            maps: a dict in which is what `call` returned; it may hold more.
            rois: [R, 4] float32 in pixels.
            image_indices: [R] int32, the image of the batch that each RoI lies in.
            labels: [R] int32, or None.

        Returns:
            class_logits [R, C + 1], mask_logits [R, P, P, 2] and box_offsets [R, 4], float32.
        """
        raise NotImplementedError

    def assemble(self, maps, rois, labels=None, training=False):
        """Computes the outputs of every RoI.

        Args:
            maps: a dict in which is what `call` returned; it may hold more.
            rois: [N, R, 4] float32 in pixels.
            labels: [N, R] int32, the class whose mask is wanted; None for the best foreground class. Heads whose masks
                are class-agnostic take no notice of it.

        Returns:
            class_logits [N, R, C + 1], mask_logits [N, R, P, P, 2] (outside, inside) and box_offsets [N, R, 4]
            (dy, dx, dh, dw, in units of the box targets' standard deviations), float32.
        """
        batch, count = tf.unstack(tf.shape(rois)[:2])
        images = tf.repeat(tf.range(batch), count)
        labels = None if labels is None else tf.reshape(labels, [-1])
        outputs = self.assemble_indexed(maps, tf.reshape(rois, [-1, 4]), images, labels, training)
        return tuple(tf.reshape(x, tf.concat([[batch, count], tf.shape(x)[1:]], axis=0)) for x in outputs)

    def pool(self, features, rois, image_indices, group_size, pooled_size):
        """Pools RoIs as `ps_roi_pool` does; rois and image_indices are those of `assemble_indexed`."""
        sizes = {"group_size": group_size, "pooled_size": pooled_size, "stride": self.stride}
        return ps_roi_pool(features, rois * self.units, image_indices, **sizes)

    def get_config(self):
        return {**super().get_config(), **self.config}


def as_pairs(mask_logits):
    """Returns logits [..., 2] (outside, inside) of which the softmax is the sigmoid of mask_logits [...]."""
    return tf.stack([tf.zeros_like(mask_logits), mask_logits], axis=-1)


def as_float32(*outputs):
    """Returns tensors as a tuple of float32."""
    return tuple(tf.cast(x, tf.float32) for x in outputs)


def small_normal():
    """Returns the initializer of the layers that give logits and offsets."""
    return keras.initializers.RandomNormal(stddev=0.01)
