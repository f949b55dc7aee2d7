"""A data set as it stands in its files, whether it makes sense or not."""

from functools import cached_property
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from fcis_tf.data import load_dataset
from fcis_tf.data.checks.outline import Outline, read_outline
from fcis_tf.data.coco_file import read_coco_file
from fcis_tf.data.first_scenes import limit_endless
from fcis_tf.errors import UserError
from fcis_tf.printable import is_encodable

_LARGEST_NUMBER = 1e18
# Boxes and polygons within this are fractions of the image: no real instance is as small as one pixel at its corner.
_LARGEST_FRACTION = 1.0


class Content:
    """Images, annotations and categories as lists of dicts in COCO's terms.

    What isn't as it should be is kept: a missing key is missing, an entry that isn't an object is an empty dict. The
    arrays that checks work on have NaN, or -1 as a row, for what cannot be read.

    Attributes:
        key: "data.train" or "data.eval".
        images, annotations, categories: lists of dicts.
        refusal: why the data set cannot be loaded, one line, or None.
        problems: Problems of the reader, or None.
        config: the configuration of the data set.
    """

    def __init__(self, data_config, split):
        """Reads the annotations, as they are if they are JSON, and else through the reader of their format."""
        self.key = f"data.{split}"
        self.config = getattr(data_config, split)
        self._source, self._example, self.refusal = None, None, None
        try:
            self._source = load_dataset(limit_endless(data_config).model_copy(update={"strict": False}), split)
        except UserError as error:
            self.refusal = str(error)
        else:
            self._example = tf.function(self._source.example, [tf.TensorSpec([], tf.int64)])
        self.problems = getattr(self._source, "problems", None)
        self.images, self.annotations, self.categories = self._read_lists()

    def _read_lists(self):
        if self.config.format == "coco":
            return _limit(*_read_json(self.config.annotations), self.config.max_images)
        if self._source is None:
            return [], [], []
        dataset = self._source.ground_truth().dataset
        return dataset["images"], dataset["annotations"], dataset["categories"]

    @property
    def class_names(self):
        """Names of the categories, in the order of their ids."""
        return [category.get("name") for category in sorted(self.categories, key=_order)]

    @property
    def has_files(self):
        """Whether the images are files, which there may be or not."""
        return self.config.format == "coco" or hasattr(self._source, "image_path")

    @cached_property
    def image_ids(self):
        """The images' ids as they stand there, None for what is no id."""
        return [as_id(image.get("id")) for image in self.images]

    @cached_property
    def rows(self):
        """[n] int64, the position of each annotation's image in `images`; -1 if it isn't there."""
        positions = {image_id: row for row, image_id in enumerate(self.image_ids) if image_id is not None}
        found = [positions.get(as_id(annotation.get("image_id")), -1) for annotation in self.annotations]
        return np.array(found, np.int64)

    @cached_property
    def sizes(self):
        """[images, 2] float64, the images' (height, width)."""
        sizes = [[as_number(image.get("height")), as_number(image.get("width"))] for image in self.images]
        return np.array(sizes, np.float64).reshape(-1, 2)

    @cached_property
    def sizes_of_annotations(self):
        """[n, 2] float64, (height, width) of the image of each annotation."""
        return np.concatenate([self.sizes, np.full((1, 2), np.nan)])[self.rows]

    @cached_property
    def boxes(self):
        """[n, 4] float64, the boxes as they stand there, which should be (x, y, width, height)."""
        boxes = [_four_numbers(annotation.get("bbox")) for annotation in self.annotations]
        return np.array(boxes, np.float64).reshape(-1, 4)

    @cached_property
    def is_crowd(self):
        """[n] bool."""
        return np.array([annotation.get("iscrowd") in (1, True) for annotation in self.annotations], bool)

    @cached_property
    def outlines(self):
        """List of n Outlines of the masks."""
        progress = tqdm(self.annotations, f"Reading masks of {self.key}", delay=2, leave=False)
        return [read_outline(annotation.get("segmentation")) for annotation in progress]

    @cached_property
    def mask_boxes(self):
        """[n, 4] float64, (xmin, ymin, xmax, ymax) around each mask."""
        return np.array([outline.box for outline in self.outlines], np.float64).reshape(-1, 4)

    def outlined_as(self, kind):
        """Returns which annotations have an Outline of a kind, [n] bool."""
        return np.array([outline.kind == kind for outline in self.outlines], bool)

    @cached_property
    def is_normalised(self):
        """[n, 2] bool, whether the box and whether the mask is given in fractions of the image."""
        boxes = (self.boxes <= _LARGEST_FRACTION).all(axis=1) & (self.boxes >= 0).all(axis=1)
        is_polygon = np.array([outline.kind == Outline.POLYGONS for outline in self.outlines], bool)
        masks = (self.mask_boxes <= _LARGEST_FRACTION).all(axis=1) & is_polygon
        return np.stack([boxes, masks], axis=1) & (self.sizes_of_annotations > 1).all(axis=1)[:, None]

    def path(self, row):
        """Returns the path of an image's file, or None where images aren't files."""
        image = self.images[row]
        if self.config.format == "coco":
            name = image.get("file_name")
            is_name = isinstance(name, str) and name and "\0" not in name and is_encodable(name)
            return self.config.images / name if is_name else None
        return Path(self._source.image_path(image["id"])) if self.has_files else None

    def example(self, row):
        """Returns an image and its instances as training gets them, see `FileSource.example`."""
        return self._example(tf.constant(row, tf.int64))

    def describe_image(self, row):
        """Returns the file name of an image, or its id where it has none."""
        path = self.path(row)
        return f"image id {self.images[row].get('id')!r}" if path is None else path.name

    def describe(self, index):
        """Returns what an annotation is called in examples."""
        annotation, row = self.annotations[index], self.rows[index]
        name = f"annotations[{index}]" + (f" (id {annotation['id']!r})" if "id" in annotation else "")
        return f"{name} of {self.describe_image(row)}" if row >= 0 else name

    def first(self, selected):
        """Describes the first of the selected annotations, [n] bool, of which there is one."""
        return self.describe(int(np.argmax(selected)))


def as_number(value):
    """Returns a float, NaN for what is no number of a reasonable size."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) <= _LARGEST_NUMBER else float("nan")


def as_id(value):
    """Returns a number or a string, None for anything else."""
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else None


def _four_numbers(box):
    numbers = [as_number(value) for value in box] if isinstance(box, list) else []
    return numbers if len(numbers) == 4 else [float("nan")] * 4


def _read_json(path):
    """Returns the three lists of a file, empty where it has none; the reader says why."""
    try:
        content = read_coco_file(path, "", "")
    except UserError:
        return [], [], []
    content = content if isinstance(content, dict) else {}
    lists = (content.get(name) for name in ("images", "annotations", "categories"))
    return [[x if isinstance(x, dict) else {} for x in y] if isinstance(y, list) else [] for y in lists]


def _limit(images, annotations, categories, max_images):
    """Leaves out the images that `max_images` leaves out, and their annotations."""
    if not max_images or len(images) <= max_images:
        return images, annotations, categories
    images = sorted(images, key=_order)
    left_out = {as_id(image.get("id")) for image in images[max_images:]}
    annotations = [annotation for annotation in annotations if as_id(annotation.get("image_id")) not in left_out]
    return images[:max_images], annotations, categories


def _order(entry):
    """Sorts entries by id, those without a number last."""
    number = as_number(entry.get("id"))
    return (number != number, number if number == number else 0)
