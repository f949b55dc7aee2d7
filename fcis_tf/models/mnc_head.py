"""The multi-task network cascade (Dai et al. 2016, "MNC"), on a ResNet (FCIS section 4.2)."""

import keras
import tensorflow as tf

from fcis_tf.models.atrous_resnet import make_stage
from fcis_tf.models.precision import computing_in
from fcis_tf.models.roi_head import ClassChannels, RoiHead, as_float32, as_pairs, small_normal

# Of the mask (MNC section 3.2).
MASK_SIZE = 28
# Into which a RoI of conv4 is pooled.
POOLED_SIZE = 14
# Of the fully connected layer before the mask's.
MASK_CHANNELS = 256


@keras.saving.register_keras_serializable("fcis_tf")
class MNCHead(RoiHead):
    """Boxes, then masks, then classes, each from what came before; conv5 works on every RoI by itself.

    Every RoI of conv4 is pooled to 14 x 14. Two fully connected layers make its class-agnostic mask of 28 x 28, whose
    probabilities weigh the pooled features (MNC section 3.3). conv5, with its stride of 2, works on the features as
    they are and on the masked ones, with the same weights; the average of the first gives the box, both together the
    class. Gradients pass through the whole cascade but for the RoIs' coordinates.

    Args:
        num_classes: C, without the background.
        backbone: depth of the ResNet that conv5 is of, such as "resnet101".
        frozen: whether conv5 is not trained.
        batch_norm: of conv5: "frozen" or "trained".
        batch_norm_momentum: of conv5's moving statistics, when trained.
        rematerialize: whether training computes conv5's activations a second time in the backward pass.
        stride: pixels of the image per cell of conv4.
        round_rois: whether RoIs are rounded to whole pixels before they are pooled.

    Call arguments:
        features: [N, H, W, D], conv4.

    Returns:
        A dict: roi_features, the features as they are.
    """

    trunk_stages = 4
    mask_size = MASK_SIZE
    class_channels = {"classes": ClassChannels(first=0, values=1)}

    def __init__(
        self,
        num_classes,
        backbone,
        frozen=False,
        batch_norm="trained",
        batch_norm_momentum=0.99,
        rematerialize=False,
        stride=16,
        round_rois=True,
        **kwargs,
    ):
        config = {
            "num_classes": num_classes,
            "backbone": backbone,
            "frozen": frozen,
            "batch_norm": batch_norm,
            "batch_norm_momentum": batch_norm_momentum,
            "rematerialize": rematerialize,
            "stride": stride,
            "round_rois": round_rois,
        }
        super().__init__(config, stride, round_rois, **kwargs)
        norm = {"trainable": batch_norm == "trained", "momentum": batch_norm_momentum}
        with computing_in(self.dtype_policy):
            self.conv5 = make_stage(backbone, 5, norm, rematerialize)
            self.mask_features = keras.layers.Dense(
                MASK_CHANNELS, activation="relu", kernel_initializer="he_normal", name="mask_features"
            )
            self.masks = keras.layers.Dense(MASK_SIZE**2, kernel_initializer=small_normal(), name="masks")
            self.classes = keras.layers.Dense(num_classes + 1, kernel_initializer=small_normal(), name="classes")
            self.boxes = keras.layers.Dense(4, kernel_initializer=small_normal(), name="boxes")
        if frozen:
            self.conv5.trainable = False

    @classmethod
    def of_model(cls, config, num_classes, stride, **kwargs):
        return cls(
            num_classes,
            backbone=config.backbone,
            frozen="conv5" in config.frozen_stages,
            batch_norm=config.batch_norm,
            batch_norm_momentum=config.batch_norm_momentum,
            rematerialize=config.rematerialize,
            stride=stride,
            round_rois=config.round_rois,
            **kwargs,
        )

    @staticmethod
    def mask_size_of(config):
        return MASK_SIZE

    def build(self, shape):
        pooled = (None, POOLED_SIZE, POOLED_SIZE, shape[-1])
        self.pooled_values = POOLED_SIZE**2 * shape[-1]
        self.conv5.build(pooled)
        channels = self.conv5.compute_output_shape(pooled)[-1]
        self.mask_features.build((None, self.pooled_values))
        self.masks.build((None, MASK_CHANNELS))
        self.classes.build((None, 2 * channels))
        self.boxes.build((None, channels))

    def call(self, features, training=False):
        return {"roi_features": features}

    def assemble_indexed(self, maps, rois, image_indices, labels=None, training=False):
        pooled = self.pool(maps["roi_features"], rois, image_indices, group_size=1, pooled_size=POOLED_SIZE)
        count = tf.shape(pooled)[0]
        # Convolutions of no RoIs fail; there is one at least, whose outputs are left out.
        pooled = tf.pad(pooled, [[0, tf.maximum(1 - count, 0)], [0, 0], [0, 0], [0, 0]])
        mask_logits = self.masks(self.mask_features(tf.reshape(pooled, [-1, self.pooled_values])))
        mask_logits = tf.reshape(mask_logits, [-1, MASK_SIZE, MASK_SIZE])
        masks = tf.cast(tf.sigmoid(tf.cast(mask_logits, tf.float32)), pooled.dtype)
        masks = tf.nn.avg_pool2d(masks[..., None], MASK_SIZE // POOLED_SIZE, MASK_SIZE // POOLED_SIZE, "VALID")
        # One call for both, so that batch normalisation sees them together.
        both = self.conv5(tf.concat([pooled, pooled * masks], axis=0), training=training)
        whole, masked = tf.split(tf.reduce_mean(both, axis=(1, 2)), 2)
        class_logits = self.classes(tf.concat([whole, masked], axis=1))
        return as_float32(class_logits[:count], as_pairs(mask_logits)[:count], self.boxes(whole)[:count])
