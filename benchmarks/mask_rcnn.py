"""Model Garden's Mask R-CNN with a ResNet-101-FPN, to compare with."""

import tensorflow as tf
import tf_keras
from official.modeling import optimization
from official.vision.configs import backbones, maskrcnn
from official.vision.dataloaders import maskrcnn_input
from official.vision.modeling import factory
from official.vision.modeling.layers import nn_blocks
from official.vision.ops import anchor
from official.vision.tasks.maskrcnn import MaskRCNNTask

from benchmarks.scenes import make_classes, make_image, make_masks
from fcis_tf.boxes import tight_boxes

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


def make_training_step(num_classes, precision, size, config):
    """Makes a training step of one image, a scene of `benchmarks.scenes`, by Model Garden's own task.

    All its settings are those of its experiment maskrcnn_resnetfpn_coco, but that as in FCIS the trunk's conv1, conv2_x
    and batch normalisation are frozen. The latter is the fused one, which Model Garden's synchronised one isn't.

    Args:
        num_classes: with the background.
        precision: "float32" or "mixed_bfloat16".
        size: (height, width) of the image, multiples of 64.
        config: a TrainingConfig, whose learning rate and momentum it takes.

    Returns:
        A tf.function without arguments, which returns the loss.
    """
    tf_keras.utils.set_random_seed(0)
    tf_keras.mixed_precision.set_global_policy(precision)
    experiment = maskrcnn.maskrcnn_resnetfpn_coco()
    experiment.task.model.num_classes = num_classes
    experiment.task.model.input_size = [*size, 3]
    experiment.task.model.backbone.resnet = backbones.ResNet(model_id=101, bn_trainable=False)
    experiment.task.model.norm_activation.use_sync_bn = False
    task = MaskRCNNTask(experiment.task)
    model = task.build_model()
    images, labels = _training_batch(experiment.task, size)
    _set_statistics(model.backbone, images)
    _freeze_as_fcis(model.backbone)
    optimizer = task.create_optimizer(
        optimization.OptimizationConfig(
            {
                "optimizer": {"type": "sgd", "sgd": {"momentum": config.momentum}},
                "learning_rate": {
                    "type": "constant",
                    "constant": {"learning_rate": config.learning_rate.values[0]},
                },
            }
        )
    )
    return tf.function(lambda: task.train_step((images, labels), model, optimizer)["loss"])


def _training_batch(task_config, size):
    """Returns a batch of one scene as the task's input pipeline makes it: images, and labels with the anchors'."""
    masks = tf.constant(make_masks(*size))
    decoded = {
        "image": make_image(*size),
        "groundtruth_boxes": tight_boxes(masks) / tf.constant([*size, *size], tf.float32),
        "groundtruth_classes": tf.constant(make_classes(), tf.int64),
        "groundtruth_is_crowd": tf.zeros(masks.shape[0], tf.bool),
        "groundtruth_instance_masks": tf.cast(masks, tf.float32),
    }
    model, parser = task_config.model, task_config.train_data.parser
    parse = maskrcnn_input.Parser(
        output_size=list(size),
        min_level=model.min_level,
        max_level=model.max_level,
        num_scales=model.anchor.num_scales,
        aspect_ratios=model.anchor.aspect_ratios,
        anchor_size=model.anchor.anchor_size,
        rpn_match_threshold=parser.rpn_match_threshold,
        rpn_unmatched_threshold=parser.rpn_unmatched_threshold,
        rpn_batch_size_per_im=parser.rpn_batch_size_per_im,
        rpn_fg_fraction=parser.rpn_fg_fraction,
        max_num_instances=parser.max_num_instances,
        include_mask=True,
        mask_crop_size=parser.mask_crop_size,
        dtype="float32",
    ).parse_fn(is_training=True)
    return tf.nest.map_structure(lambda tensor: tensor[None], parse(decoded))


def _set_statistics(backbone, images):
    """Sets the moving statistics of batch normalisation to those of a batch of images."""
    layers = _batch_normalizations(backbone)
    for layer in layers:
        layer.trainable, layer.momentum = True, 0.0
    backbone(images, training=True)
    for layer in layers:
        layer.trainable = False


def _freeze_as_fcis(backbone):
    """Freezes conv1 and the three blocks of conv2_x."""
    blocks = [layer for layer in backbone.layers if isinstance(layer, nn_blocks.BottleneckBlock)]
    for layer in backbone.layers[: backbone.layers.index(blocks[3])]:
        layer.trainable = False


def _batch_normalizations(backbone):
    return [
        layer for layer in backbone._flatten_layers() if isinstance(layer, tf_keras.layers.BatchNormalization)
    ]
