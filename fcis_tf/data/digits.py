"""The embedded data set: scenes of handwritten digits, rendered as they are asked for."""

import numpy as np
import tensorflow as tf
from pycocotools import mask as coco_mask

from fcis_tf.boxes import tight_boxes
from fcis_tf.data.digit_glyphs import load_glyphs
from fcis_tf.data.digit_scene import render_scene
from fcis_tf.data.ground_truth import make_coco
from fcis_tf.data.mask_crops import crop_masks

_SPLIT_NUMBERS = {"train": 0, "eval": 1}


class DigitsSource:
    """Scenes of handwritten digits; scene i is a pure function of the configuration and i.

    Attributes:
        name: the configuration key it comes from, for messages.
        class_names: names of classes 1 to C.
        category_ids: their ids in the ground truth.
        size: how many scenes there are; None for endlessly many.
        training_indices: [n] int64 NumPy array, the scenes to train on; None for all of an endless source.
        sizes: [size, 2] int32 NumPy array, height and width of the scenes; None for an endless source.
    """

    def __init__(self, config, mask_size, key, strict):
        """Loads the handwritten digits.

        Args:
            config: DigitsDataset.
            mask_size: side of the cropped masks.
            key: where in the configuration the data set stands.
            strict: without meaning here, as there are no files.
        """
        self.name = key
        self.class_names = [str(digit) for digit in config.digits]
        self.category_ids = list(range(1, len(config.digits) + 1))
        self.size = config.scenes or None
        self.training_indices = None if self.size is None else np.arange(self.size)
        self.sizes = None if self.size is None else np.tile(np.int32([config.height, config.width]), (self.size, 1))
        self._config = config
        self._mask_size = mask_size
        self._glyphs = load_glyphs(config.split, config.digits)

    def example(self, index):
        """Renders a scene, in the graph.

        Args:
            index: int64 scalar, the number of the scene.

        Returns:
            A dict: image [H, W, 3] uint8 RGB; image_id int64; boxes [G, 4] float32 tight around the visible pixels;
            classes [G] int32; is_crowd [G] bool; masks [G, M, M] uint8, cropped to the boxes.
        """
        image, masks, classes, is_crowd = self._render(index)
        boxes = tight_boxes(masks)
        crops = tf.cast(crop_masks(masks, boxes, self._mask_size), tf.uint8)
        return {
            "image": image,
            "image_id": index,
            "boxes": boxes,
            "classes": classes,
            "is_crowd": is_crowd,
            "masks": crops,
        }

    def ground_truth(self):
        """Renders all scenes and makes their ground truth at full resolution: a pycocotools COCO."""
        images, annotations = [], []
        scenes = tf.data.Dataset.range(self.size).map(self._render, num_parallel_calls=tf.data.AUTOTUNE)
        for image_id, (image, masks, classes, is_crowd) in enumerate(scenes.as_numpy_iterator()):
            images.append({"id": image_id, "height": image.shape[0], "width": image.shape[1]})
            encoded = coco_mask.encode(np.asfortranarray(masks.transpose(1, 2, 0).astype(np.uint8)))
            for segmentation, label, crowd in zip(encoded, classes, is_crowd, strict=True):
                annotations.append(_annotation(image_id, segmentation, int(label), int(crowd)))
        categories = [{"id": i, "name": name} for i, name in enumerate(self.class_names, start=1)]
        return make_coco(images, annotations, categories)

    def _render(self, index):
        config = self._config
        seed = tf.constant([config.seed, _SPLIT_NUMBERS[config.split]], tf.int64)
        scene_seed = tf.random.experimental.stateless_fold_in(seed, index)
        return render_scene(self._glyphs, scene_seed, (config.height, config.width), config.max_digits)


def _annotation(image_id, segmentation, label, is_crowd):
    return {
        "image_id": image_id,
        "category_id": label,
        "segmentation": segmentation,
        "area": float(coco_mask.area(segmentation)),
        "bbox": coco_mask.toBbox(segmentation).tolist(),
        "iscrowd": is_crowd,
    }
