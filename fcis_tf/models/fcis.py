"""The whole network: trunk, RPN and head."""

import keras
import tensorflow as tf

from fcis_tf import boxes
from fcis_tf.models.anchors import make_anchors
from fcis_tf.models.atrous_resnet import AtrousResNet
from fcis_tf.models.heads import HEADS
from fcis_tf.models.proposal_layer import ProposalLayer
from fcis_tf.models.region_proposal_network import RegionProposalNetwork

STRIDE = 16


class FCIS(keras.Model):
    """Fully convolutional instance-aware semantic segmentation.

    `call` is inference; training uses its parts, `propose` and `assemble`, with the targets in between. With another
    `model.head` it is one of the systems that the paper compares with, see docs/ablations.md.

    Args:
        config: a `fcis_tf.config.ModelConfig`.
        num_classes: C, without the background.

    Call arguments:
        images: [N, H, W, 3] float32, RGB minus the ImageNet mean, padded on the right and bottom.
        image_sizes: [N, 2] int32, (height, width) of each image without its padding; None for no padding.
        second_pass: whether to pool again the RoIs moved by their own predicted offsets (section 3.4).

    Returns:
        What `propose` returns, and for R RoIs (of both passes): rois [N, R, 4] in pixels, rois_valid [N, R] bool,
        class_logits [N, R, C + 1], mask_logits [N, R, P, P, 2] (outside, inside) of the RoI's best foreground class,
        and box_offsets [N, R, 4].
    """

    def __init__(self, config, num_classes, **kwargs):
        super().__init__(**kwargs)
        self.anchor_layout = {
            "scales": config.anchor_scales,
            "ratios": config.anchor_ratios,
            "stride": STRIDE,
            "rounded": config.round_anchors,
        }
        self.box_target_stds = config.box_target_stds
        head = HEADS[config.head]
        self.backbone = AtrousResNet.of_model(config, num_stages=head.trunk_stages, name="backbone")
        self.rpn = RegionProposalNetwork(
            len(config.anchor_scales) * len(config.anchor_ratios),
            config.rpn_channels,
            name="rpn",
            dtype=config.precision,
        )
        self.proposal_layer = ProposalLayer(**config.proposals.model_dump(), name="proposals")
        self.head = head.of_model(config, num_classes, STRIDE, name="head", dtype=config.precision)

    def propose(self, images, image_sizes=None, training=False):
        """Computes all that does not depend on RoIs, and the proposals.

        Returns:
            A dict: the maps of the head (see `InsideOutsideHead`), rpn_logits [N, A, 2], rpn_offsets [N, A, 4],
            anchors [A, 4], proposals [N, R, 4] in pixels and proposals_valid [N, R] bool.
        """
        if image_sizes is None:
            image_sizes = tf.tile(tf.shape(images)[None, 1:3], [tf.shape(images)[0], 1])
        conv4, features = self.backbone(images, training=training)
        logits, offsets = self.rpn(conv4)
        height, width = tf.unstack(tf.shape(conv4)[1:3])
        anchors = make_anchors(height, width, **self.anchor_layout)
        proposals, valid = self.proposal_layer(logits, offsets, anchors, image_sizes)
        return {
            **self.head(features, training=training),
            "rpn_logits": logits,
            "rpn_offsets": offsets,
            "anchors": anchors,
            "proposals": proposals,
            "proposals_valid": valid,
            "image_sizes": image_sizes,
        }

    def compute_maps(self, images):
        """Computes what RoIs are assembled from, for inference with RoIs from elsewhere.

        Args:
            images: [N, H, W, 3] as `call` takes them.

        Returns:
            A dict: the maps of the head (see `InsideOutsideHead`).
        """
        _, features = self.backbone(images, training=False)
        return self.head(features)

    def assemble(self, maps, rois, labels=None, training=False):
        """Assembles class_logits, mask_logits and box_offsets of RoIs [N, R, 4]; see `RoiHead.assemble`."""
        class_logits, mask_logits, box_offsets = self.head.assemble(maps, rois, labels, training)
        return {"rois": rois, "class_logits": class_logits, "mask_logits": mask_logits, "box_offsets": box_offsets}

    def refine(self, maps, rois, box_offsets):
        """Returns RoIs [N, R, 4] moved by their predicted offsets and clipped to the image."""
        return boxes.clip(boxes.decode(box_offsets * self.box_target_stds, rois), maps["image_sizes"])

    def call(self, images, image_sizes=None, second_pass=True, training=False):
        maps = self.propose(images, image_sizes, training=training)
        outputs = self.assemble(maps, maps["proposals"], training=training)
        valid = maps["proposals_valid"]
        if second_pass:
            moved = self.refine(maps, outputs["rois"], outputs["box_offsets"])
            again = self.assemble(maps, moved, training=training)
            outputs = {key: tf.concat([outputs[key], again[key]], axis=1) for key in outputs}
            valid = tf.concat([valid, valid], axis=1)
        return {**maps, **outputs, "rois_valid": valid}
