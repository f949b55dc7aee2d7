"""One network's view of images, or of their mirror images, at one or several scales."""

import tensorflow as tf

from fcis_tf import boxes
from fcis_tf.inference.nearest_scale import nearest_scale


class View:
    """Scores regions of interest with one network.

    Each region is assembled once: at the scale at which its area is nearest to 224 x 224 pixels, see `nearest_scale`.

    Args:
        model: FCIS.
        maps: a list; for every scale what `model.compute_maps` makes of N images.
        sizes: a list; [2] int32, height and width of these images at each scale, without padding.
        base_size: [2] int32, height and width of the images in whose pixels the regions are.
        mirrored: whether the maps are of the images' mirror images. What is found there is mirrored back.
    """

    def __init__(self, model, maps, sizes, base_size, mirrored):
        self._model = model
        self._maps = maps
        self._factors = tf.cast(tf.stack(sizes), tf.float32) / tf.cast(base_size, tf.float32)
        self._width = tf.cast(base_size[1], tf.float32)
        self._mirrored = mirrored

    def score(self, rois, labels=None):
        """Scores regions of interest.

        Args:
            rois: [N, R, 4] float32 (ymin, xmin, ymax, xmax), in pixels of the images of the base size; R > 0.
            labels: [N, R] int32, the class whose mask is wanted; None for the most probable foreground class.

        Returns:
            A dict of float32 tensors:
                class_probs: [N, R, C + 1], the background first.
                mask_probs: [N, R, P, P], the probability of each cell of a region to be inside the instance.
                box_offsets: [N, R, 4] (dy, dx, dh, dw), which `boxes.decode` takes.
        """
        class_logits, mask_logits, box_offsets = self._assemble(
            boxes.mirror(rois, self._width) if self._mirrored else rois, labels
        )
        outside, inside = tf.unstack(mask_logits, axis=-1)
        mask_probs = tf.sigmoid(inside - outside)
        box_offsets *= self._model.box_target_stds
        return {
            "class_probs": tf.nn.softmax(class_logits),
            "mask_probs": mask_probs[..., ::-1] if self._mirrored else mask_probs,
            "box_offsets": box_offsets * [1.0, -1.0, 1.0, 1.0] if self._mirrored else box_offsets,
        }

    def _assemble(self, rois, labels):
        """Returns the network's outputs [N, R, ...] for regions in pixels of the view at the base size."""
        shape = tf.shape(rois)[:2]
        images = tf.repeat(tf.range(shape[0]), shape[1])
        rois = tf.reshape(rois, [-1, 4])
        labels = None if labels is None else tf.reshape(labels, [-1])
        scales = nearest_scale(rois, self._factors)
        parts = tf.dynamic_partition(tf.range(tf.size(scales)), scales, len(self._maps))
        outputs = [
            self._model.head.assemble_indexed(
                maps,
                tf.gather(rois, part) * tf.tile(factor, [2]),
                tf.gather(images, part),
                None if labels is None else tf.gather(labels, part),
            )
            for maps, factor, part in zip(self._maps, tf.unstack(self._factors), parts, strict=True)
        ]
        whole = [tf.dynamic_stitch(parts, values) for values in zip(*outputs, strict=True)]
        return [tf.reshape(x, tf.concat([shape, tf.shape(x)[1:]], axis=0)) for x in whole]
