"""ResNet v1 whose last stage keeps stride 16 by dilation ("hole algorithm", FCIS section 3.1)."""

import keras

from fcis_tf.models.convolution import Convolution
from fcis_tf.models.fused_batch_normalization import FusedBatchNormalization
from fcis_tf.models.precision import computing_in
from fcis_tf.models.rematerialization import rematerialized

# Kind of block and number of blocks in conv2_x to conv5_x (ResNet table 1).
DEPTHS = {
    "resnet18": ("basic", (2, 2, 2, 2)),
    "resnet34": ("basic", (3, 4, 6, 3)),
    "resnet50": ("bottleneck", (3, 4, 6, 3)),
    "resnet101": ("bottleneck", (3, 4, 23, 3)),
    "resnet152": ("bottleneck", (3, 8, 36, 3)),
}
EPSILON = 1e-5


@keras.saving.register_keras_serializable("fcis_tf")
class AtrousResNet(keras.Layer):
    """The trunk: an image to the features of conv4 at stride 16 and of conv5 at stride 16 or 32.

    The original v1 with a bottleneck's stride in its first 1x1 convolution, as the published weights have it. Frozen
    batch normalisation uses and keeps its moving statistics, scale and shift.

    Args:
        depth: "resnet18", "resnet34", "resnet50", "resnet101" or "resnet152".
        frozen_stages: names among "conv1" to "conv5" whose weights are not trained.
        batch_norm: "frozen" or "trained".
        batch_norm_momentum: of the moving statistics, when trained.
        stem_padding: where the max pooling of conv1 pads: "end", on the right and bottom only, or "both".
        output_stride: of conv5: 16, by dilation, or 32, as the network was trained on ImageNet.
        rematerialize: whether training keeps the blocks' inputs alone and computes their activations a second time in
            the backward pass: less memory, more time, the same gradients.
        num_stages: 5, or 4 where conv5 works elsewhere.

    Call arguments:
        images: [N, H, W, 3] float32, RGB minus the ImageNet mean. H and W of any size.

    Returns:
        (conv4, conv5): [N, H / 16, W / 16, channels], sizes rounded up. Of 4 stages, conv4 twice.
    """

    def __init__(
        self,
        depth,
        frozen_stages=(),
        batch_norm="trained",
        batch_norm_momentum=0.99,
        stem_padding="end",
        output_stride=16,
        rematerialize=False,
        num_stages=5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.config = {
            "depth": depth,
            "frozen_stages": tuple(frozen_stages),
            "batch_norm": batch_norm,
            "batch_norm_momentum": batch_norm_momentum,
            "stem_padding": stem_padding,
            "output_stride": output_stride,
            "rematerialize": rematerialize,
            "num_stages": num_stages,
        }
        norm = {"trainable": batch_norm == "trained", "momentum": batch_norm_momentum}
        with computing_in(self.dtype_policy):
            self.conv1 = Stem(norm, stem_padding, rematerialize, name="conv1")
            self.stages = [
                make_stage(depth, stage, norm, rematerialize, atrous=stage == 5 and output_stride == 16)
                for stage in range(2, num_stages + 1)
            ]
        for stage in (self.conv1, *self.stages):
            if stage.name in frozen_stages:
                stage.trainable = False

    @classmethod
    def of_model(cls, config, **kwargs):
        """Makes the trunk that a ModelConfig describes; kwargs are other arguments."""
        return cls(
            config.backbone,
            frozen_stages=config.frozen_stages,
            batch_norm=config.batch_norm,
            batch_norm_momentum=config.batch_norm_momentum,
            stem_padding=config.stem_padding,
            rematerialize=config.rematerialize,
            dtype=config.precision,
            **kwargs,
        )

    def build(self, images_shape):
        shape = images_shape
        for stage in (self.conv1, *self.stages):
            stage.build(shape)
            shape = stage.compute_output_shape(shape)

    def call(self, images, training=False):
        features = self.conv1(images, training=training)
        to_conv4, behind = self.stages[:3], self.stages[3:]
        for stage in to_conv4:
            features = stage(features, training=training)
        conv4 = features
        for stage in behind:
            features = stage(features, training=training)
        return conv4, features

    def get_config(self):
        return {**super().get_config(), **self.config}


def make_stage(depth, stage, norm, rematerialize, atrous=False):
    """Makes a stage of residual blocks, a keras.Sequential.

    Args:
        depth: as AtrousResNet takes it.
        stage: 2 to 5.
        norm: arguments of the FusedBatchNormalization layers.
        rematerialize: as AtrousResNet takes it.
        atrous: whether it keeps the stride of what comes in, and has dilation 2 instead.
    """
    kind, repetitions = DEPTHS[depth]
    block = BasicBlock if kind == "basic" else BottleneckBlock
    channels, blocks = 32 * 2 ** (stage - 1), repetitions[stage - 2]
    stride = 1 if stage == 2 or atrous else 2
    dilation = 2 if atrous else 1
    layers = [
        block(channels, stride if i == 0 else 1, dilation, i == 0, norm, rematerialize, name=f"block{i + 1}")
        for i in range(blocks)
    ]
    return keras.Sequential(layers, name=f"conv{stage}")


class ConvolutionAndNorm(keras.Layer):
    """Convolution without bias, batch normalisation, and ReLU when asked for.

    Padding is that of Caffe: k // 2 pixels on every side, also at stride 2, where TensorFlow's "same" differs.
    """

    def __init__(self, channels, size, norm, stride=1, dilation=1, relu=True, **kwargs):
        super().__init__(**kwargs)
        strided = stride > 1 and size > 1
        self.pad = keras.layers.ZeroPadding2D(size // 2) if strided else None
        self.convolution = Convolution(
            channels,
            size,
            strides=stride,
            dilation_rate=dilation,
            padding="valid" if strided else "same",
            use_bias=False,
            kernel_initializer="he_normal",
            name="conv",
        )
        self.norm = FusedBatchNormalization(epsilon=EPSILON, name="norm", **norm)
        self.relu = relu

    def build(self, shape):
        self.convolution.build(shape)
        self.norm.build(self.convolution.compute_output_shape(shape))

    def compute_output_shape(self, shape):
        return self.convolution.compute_output_shape(self.pad.compute_output_shape(shape) if self.pad else shape)

    def call(self, x, training=False):
        if self.pad:
            x = self.pad(x)
        x = self.norm(self.convolution(x), training=training)
        return keras.ops.relu(x) if self.relu else x


class Stem(keras.Layer):
    """conv1: 7x7 convolution at stride 2, then 3x3 max pooling at stride 2, whose padding is "end" or "both"."""

    def __init__(self, norm, padding, rematerialize, **kwargs):
        super().__init__(**kwargs)
        self.rematerialize = rematerialize
        self.convolution = ConvolutionAndNorm(64, 7, norm, stride=2, name="conv")
        self.pad = keras.layers.ZeroPadding2D({"end": ((0, 2), (0, 2)), "both": 1}[padding])
        self.pool = keras.layers.MaxPooling2D(3, strides=2)

    def build(self, shape):
        self.convolution.build(shape)

    def compute_output_shape(self, shape):
        shape = self.pad.compute_output_shape(self.convolution.compute_output_shape(shape))
        return self.pool.compute_output_shape(shape)

    @rematerialized
    def call(self, images, training=False):
        # After ReLU a padding of zeros never wins a maximum. Of an even size the second zero is never read.
        return self.pool(self.pad(self.convolution(images, training=training)))


class ResidualBlock(keras.Layer):
    """A residual block: `self.branch` added to the input or, where the shape changes, to its projection."""

    expansion = 1

    def __init__(self, channels, stride, dilation, project, norm, rematerialize, **kwargs):
        super().__init__(**kwargs)
        self.rematerialize = rematerialize
        self.branch = self._make_branch(channels, stride, dilation, norm)
        # The 18 and 34 layer networks keep the identity where stage 2 starts with its own number of channels.
        if project and not (self.expansion == 1 and stride == 1 and channels == 64):
            self.projection = ConvolutionAndNorm(
                channels * self.expansion, 1, norm, stride=stride, relu=False, name="projection"
            )
        else:
            self.projection = None

    def build(self, shape):
        if self.projection:
            self.projection.build(shape)
        for layer in self.branch:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def compute_output_shape(self, shape):
        for layer in self.branch:
            shape = layer.compute_output_shape(shape)
        return shape

    @rematerialized
    def call(self, x, training=False):
        shortcut = self.projection(x, training=training) if self.projection else x
        for layer in self.branch:
            x = layer(x, training=training)
        return keras.ops.relu(x + shortcut)


class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions (ResNet-18 and -34)."""

    def _make_branch(self, channels, stride, dilation, norm):
        return [
            ConvolutionAndNorm(channels, 3, norm, stride=stride, dilation=dilation, name="a"),
            ConvolutionAndNorm(channels, 3, norm, dilation=dilation, relu=False, name="b"),
        ]


class BottleneckBlock(ResidualBlock):
    """1x1, 3x3 and 1x1 convolutions, the stride in the first (ResNet-50, -101 and -152)."""

    expansion = 4

    def _make_branch(self, channels, stride, dilation, norm):
        return [
            ConvolutionAndNorm(channels, 1, norm, stride=stride, name="a"),
            ConvolutionAndNorm(channels, 3, norm, dilation=dilation, name="b"),
            ConvolutionAndNorm(channels * self.expansion, 1, norm, relu=False, name="c"),
        ]
