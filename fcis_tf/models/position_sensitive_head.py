"""What the heads made of position-sensitive maps have in common."""

from fcis_tf.models.convolution import Convolution
from fcis_tf.models.precision import computing_in
from fcis_tf.models.roi_head import RoiHead, small_normal


class PositionSensitiveHead(RoiHead):
    """Reduces conv5 and makes position-sensitive maps of it.

    Nothing is learned per RoI: all weights act on the whole image, once. A subclass says which maps there are, with
    `add_maps`, and assembles them.

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
        A dict: the maps, [N, H, W, k * k * depth] each.
    """

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
        self.map_layers = []
        with computing_in(self.dtype_policy):
            self.reduce = Convolution(channels, 1, activation="relu", kernel_initializer="he_normal", name="reduce")

    def add_maps(self, name, depth):
        """Adds maps of a depth to what `call` returns, by their name, which is that of their layer too; returns it."""
        channels = self.config["group_size"] ** 2 * depth
        with computing_in(self.dtype_policy):
            layer = Convolution(channels, 1, kernel_initializer=small_normal(), name=name)
        self.map_layers.append(layer)
        if name in self.class_channels:
            self.score_map_channels += channels
        return layer

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
        for layer in self.map_layers:
            layer.build(shape)

    def call(self, features, training=False):
        features = self.reduce(features, training=training)
        return {layer.name: layer(features, training=training) for layer in self.map_layers}
