"""Model Garden's Mask R-CNN with a ResNet-101-FPN, to compare with."""

import tensorflow as tf
import tf_keras
from official.vision.configs import backbones, maskrcnn
from official.vision.modeling import factory
from official.vision.ops import anchor

HEIGHT, WIDTH = 640, 1024


def make_mask_rcnn(num_classes, precision):
    """Makes the network with random weights.

    All its settings are Model Garden's defaults, but for the threshold on scores, which is 0 here: 100 detections come
    through, as they do in a crowded photograph.

    Args:
        num_classes: with the background.
        precision: "float32" or "mixed_bfloat16".

    Returns:
        A tf.function of images [1, HEIGHT, WIDTH, 3] float32, which returns the detections, their masks being 28 x 28
        in the box.
    """
    config = maskrcnn.MaskRCNN(num_classes=num_classes, input_size=[HEIGHT, WIDTH, 3])
    config.backbone = backbones.Backbone(type="resnet", resnet=backbones.ResNet(model_id=101))
    config.detection_generator.pre_nms_score_threshold = 0.0
    tf_keras.mixed_precision.set_global_policy(precision)
    model = factory.build_maskrcnn(tf_keras.layers.InputSpec(shape=[1, HEIGHT, WIDTH, 3]), config)
    anchors = anchor.Anchor(
        config.min_level,
        config.max_level,
        config.anchor.num_scales,
        config.anchor.aspect_ratios,
        config.anchor.anchor_size,
        [HEIGHT, WIDTH],
    )
    boxes = {level: tf.cast(boxes, tf.float32)[None] for level, boxes in anchors.multilevel_boxes.items()}

    @tf.function(input_signature=[tf.TensorSpec([1, HEIGHT, WIDTH, 3])])
    def detect(images):
        size = tf.constant([[HEIGHT, WIDTH]], tf.float32)
        outputs = model.call(images=images, image_shape=size, anchor_boxes=boxes, training=False)
        return {name: value for name, value in outputs.items() if name.startswith(("detection", "num"))}

    return detect
