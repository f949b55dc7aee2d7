"""Data sets of image files, whatever the format of their annotations."""

import functools
import logging

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from fcis_tf.data.ground_truth import make_coco
from fcis_tf.data.image_file import decode_image
from fcis_tf.data.mask_crops import crop_segmentation, decode_runs, encode_runs

_logger = logging.getLogger(__name__)


class FileSource:
    """Image files and the instances that are annotated in them.

    Attributes:
        name: the configuration key it comes from, for messages.
        class_names: names of classes 1 to C, in the order of their category ids.
        category_ids: category ids of classes 1 to C, ascending.
        size: how many images there are.
        training_indices: [n] int64 NumPy array, the images with an instance that isn't a crowd.
        sizes: [size, 2] int32 NumPy array, height and width of the images.
        problems: Problems of what was left out.
    """

    def __init__(self, read, config, mask_size, key, strict):
        """Reads the annotations and crops the masks; images are read as they are asked for.

        Args:
            read: reader of the format: `read_coco` or another function of the configuration, the key and whether to
                be strict that returns AnnotatedImages.
            config: CocoDataset or that of another format.
            mask_size: side of the cropped masks.
            key: where in the configuration the data set stands.
            strict: whether an annotation or an image that cannot be used is an error.

        Raises:
            UserError: a file is missing, or the annotations aren't of the format.
        """
        self.name = key
        self._read = functools.partial(read, config, key, strict)
        self._mask_size = mask_size
        content = self._read()
        self.problems = content.problems
        if content.problems.counts:
            _logger.warning("%s", content.problems.summary())
        self.class_names = [category["name"] for category in content.categories]
        self.category_ids = [category["id"] for category in content.categories]
        self.size = len(content.images)
        self._store_images(content)
        self._store_instances(content)

    def image_path(self, image_id):
        """Returns the path of an image's file, a string."""
        return self._paths[self._rows[image_id]].numpy().decode()

    def example(self, index):
        """Reads an image and its instances, in the graph.

        Args:
            index: int64 scalar, the number of the image.

        Returns:
            A dict: image [H, W, 3] uint8 RGB; image_id int64; boxes [G, 4] float32 (ymin, xmin, ymax, xmax) in pixels;
            classes [G] int32; is_crowd [G] bool; masks [G, M, M] uint8, cropped to the boxes.

        Raises:
            tf.errors.InvalidArgumentError: the image cannot be read; see `describe_data_error`.
        """
        start, end = self._starts[index], self._starts[index + 1]
        runs = self._runs[self._run_starts[start] : self._run_starts[end]]
        return {
            "image": decode_image(self._paths[index], self._sizes[index]),
            "image_id": self._image_ids[index],
            "boxes": self._boxes[start:end],
            "classes": self._classes[start:end],
            "is_crowd": self._is_crowd[start:end],
            "masks": decode_runs(runs, self._mask_size),
        }

    def ground_truth(self):
        """Reads the annotations again, since most programs need no copy of them, into a pycocotools COCO."""
        content = self._read()
        return make_coco(content.images, content.annotations, content.categories)

    def _store_images(self, content):
        images = content.images
        self._rows = {image["id"]: row for row, image in enumerate(images)}
        self._paths = tf.constant([str(path) for path in content.paths])
        self._image_ids = tf.constant([image["id"] for image in images], tf.int64)
        self.sizes = np.array([[image["height"], image["width"]] for image in images], np.int32)
        self._sizes = tf.constant(self.sizes)

    def _store_instances(self, content):
        """Keeps the instances image after image: those of image i are rows _starts[i] to _starts[i + 1]."""
        labels = {category_id: label for label, category_id in enumerate(self.category_ids, start=1)}
        annotations = sorted(content.annotations, key=lambda annotation: annotation["image_id"])
        rows = np.array([self._rows[annotation["image_id"]] for annotation in annotations], np.int64)
        boxes = _corner_boxes(annotations)
        is_crowd = np.array([annotation["iscrowd"] for annotation in annotations], bool)
        runs = _encode_crops(annotations, boxes, self._mask_size)
        self._starts = tf.constant(np.searchsorted(rows, np.arange(self.size + 1)), tf.int64)
        self._boxes = tf.constant(boxes)
        self._classes = tf.constant([labels[annotation["category_id"]] for annotation in annotations], tf.int32)
        self._is_crowd = tf.constant(is_crowd)
        self._run_starts = tf.constant(np.cumsum([0, *map(len, runs)]), tf.int64)
        self._runs = tf.constant(np.concatenate([np.zeros(0, _run_type(self._mask_size)), *runs]))
        self.training_indices = np.unique(rows[~is_crowd])


def _corner_boxes(annotations):
    """[G, 4] float32 (ymin, xmin, ymax, xmax) from COCO's (x, y, width, height)."""
    x, y, width, height = np.array([a["bbox"] for a in annotations], np.float64).reshape(-1, 4).T
    return np.stack([y, x, y + height, x + width], axis=1).astype(np.float32)


def _encode_crops(annotations, boxes, mask_size):
    progress = tqdm(annotations, "Cropping masks", delay=2, leave=False)
    run_type = _run_type(mask_size)
    return [
        encode_runs(crop_segmentation(annotation["segmentation"], box, mask_size)).astype(run_type)
        for annotation, box in zip(progress, boxes, strict=True)
    ]


def _run_type(mask_size):
    """The smallest integer type for run lengths: COCO has nearly a million masks."""
    return np.min_scalar_type(mask_size**2)
