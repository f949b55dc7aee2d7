"""Data sets in TFRecord files, in the layout of TensorFlow's Model Garden."""

import json
import logging

import numpy as np
import tensorflow as tf
from pycocotools import mask as coco_mask
from tqdm import tqdm

from fcis_tf.data.ground_truth import make_coco
from fcis_tf.data.image_file import check_image, decode_contents, describe_data_error
from fcis_tf.data.problems import Problems
from fcis_tf.data.tfrecord.record_file import read_record
from fcis_tf.data.tfrecord.record_index import read_indices
from fcis_tf.data.tfrecord.record_layout import NO_MASKS, decode_crops, decode_mask, parse_image_and_masks
from fcis_tf.data.tfrecord.shards import RECORDS_HINT, find_description, find_shards, read_description
from fcis_tf.errors import UserError

_logger = logging.getLogger(__name__)

_LARGEST_ID = 2**63 - 1


class RecordSource:
    """Records with an image and its instances each.

    Attributes:
        name: the configuration key it comes from, for messages.
        class_names: names of classes 1 to C, in the order of their category ids.
        category_ids: category ids of classes 1 to C, ascending.
        size: how many records there are.
        training_indices: [n] int64 NumPy array, the records with an instance that isn't a crowd.
        sizes: [size, 2] int32 NumPy array, height and width of the images.
        problems: Problems, why records and instances were left out.
    """

    def __init__(self, config, mask_size, key, strict):
        """Reads the files' indices, and makes those that are missing; records are read as they are asked for.

        Args:
            config: TfrecordDataset.
            mask_size: side of the cropped masks.
            key: where in the configuration the data set stands.
            strict: whether a record or an instance that cannot be used is an error.

        Raises:
            UserError: there are no such files, or they aren't TFRecord files of the layout.
        """
        self.name = key
        self._mask_size = mask_size
        self._strict = strict
        self._origin = f"{key}.records: {config.records}"
        paths = find_shards(config.records, f"{key}.records")
        indices = read_indices(paths)
        problems = self._report_problems(indices)
        _check_number_of_records(paths, indices, problems)
        self._store_records(paths, indices, config.max_images)
        categories = _read_categories(config, key, paths, indices)
        self.class_names = [category["name"] for category in categories]
        self.category_ids = [category["id"] for category in categories]
        self._store_instances(indices, problems)
        self.problems = problems
        if problems.counts:
            _logger.warning("%s", problems.summary())

    def example(self, index):
        """Reads a record, in the graph.

        Args:
            index: int64 scalar, the number of the record.

        Returns:
            A dict: image [H, W, 3] uint8 RGB; image_id int64; boxes [G, 4] float32 (ymin, xmin, ymax, xmax) in pixels;
            classes [G] int32; is_crowd [G] bool; masks [G, M, M] uint8, cropped to the boxes.

        Raises:
            tf.errors.InvalidArgumentError: the record, its image or a mask cannot be read; see `describe_data_error`.
        """
        start, end = self._starts[index], self._starts[index + 1]
        name, encoded, pngs = self._read_files(index)
        boxes = self._boxes[start:end]
        return {
            "image": decode_contents(encoded, name, self._sizes[index]),
            "image_id": self._image_ids[index],
            "boxes": boxes,
            "classes": self._classes[start:end],
            "is_crowd": self._is_crowd[start:end],
            "masks": decode_crops(pngs, boxes, self._mask_size, name),
        }

    def ground_truth(self):
        """Reads all masks at full resolution into a pycocotools COCO; images with a damaged mask are left out.

        Raises:
            UserError: a mask is damaged, and the data set is to be read strictly.
        """
        problems = Problems(self._origin, self._strict)
        images, annotations = [], []
        records = iter(tf.data.Dataset.range(self.size).map(self._read_files, num_parallel_calls=tf.data.AUTOTUNE))
        for row in tqdm(range(self.size), "Reading masks", delay=2, leave=False):
            try:
                # An iterator goes on behind an error.
                name, _, pngs = next(records)
            except tf.errors.InvalidArgumentError as error:
                problems.report("damaged records", describe_data_error(error) or error.message)
                continue
            try:
                segmentations = [coco_mask.encode(np.asfortranarray(decode_mask(png))) for png in pngs]
            except tf.errors.InvalidArgumentError:
                detail = f"{name.numpy().decode()}: has a mask that cannot be decoded"
                problems.report("images with a damaged mask", detail)
                continue
            image_id, (height, width) = int(self._image_ids[row]), self.sizes[row].tolist()
            images.append({"id": image_id, "height": height, "width": width})
            annotations += self._make_annotations(row, image_id, segmentations)
        if problems.counts:
            _logger.warning("%s", problems.summary())
        categories = zip(self.category_ids, self.class_names, strict=True)
        return make_coco(images, annotations, [{"id": i, "name": name} for i, name in categories])

    def _report_problems(self, indices):
        found = [problem for index in indices for problem in index.problems]
        if any(kind == NO_MASKS for kind, _ in found) and not any(len(index.labels) for index in indices):
            raise UserError(f"{self._origin}: the records have no masks, image/object/mask; {RECORDS_HINT}")
        problems = Problems(self._origin, self._strict)
        for kind, detail in found:
            problems.report(kind, detail)
        return problems

    def _store_records(self, paths, indices, max_images):
        self.sizes = np.concatenate([index.sizes for index in indices])[: max_images or None]
        self.size = len(self.sizes)
        if not self.size:
            raise UserError(f"{self._origin}: there is no usable record; {RECORDS_HINT}")
        counts = [len(index.offsets) for index in indices]
        source_ids = [source_id for index in indices for source_id in index.source_ids]
        self._paths = tf.constant([str(path) for path in paths])
        self._shards = tf.constant(np.repeat(np.arange(len(paths)), counts), tf.int64)
        self._offsets = tf.constant(np.concatenate([index.offsets for index in indices]))
        self._sizes = tf.constant(self.sizes)
        self._image_ids = tf.constant(_image_ids(source_ids), tf.int64)
        self._source_ids = tf.constant(source_ids)

    def _store_instances(self, indices, problems):
        """Keeps the instances record after record: those of record i are rows _starts[i] to _starts[i + 1]."""
        counts = np.concatenate([np.diff(index.starts) for index in indices])[: self.size]
        rows = np.repeat(np.arange(self.size), counts)
        boxes, labels, is_crowd, areas, mask_numbers = (
            np.concatenate([getattr(index, name) for index in indices])[: len(rows)]
            for name in ("boxes", "labels", "is_crowd", "areas", "mask_numbers")
        )
        known = np.isin(labels, self.category_ids)
        for row, label in zip(rows[~known], labels[~known], strict=True):
            detail = f"record of image {self._source_ids[row].numpy().decode()!r}: category id {label} is not listed"
            problems.report("instances of categories that are not listed", detail)
        rows, is_crowd = rows[known], is_crowd[known]
        self._starts = tf.constant(np.searchsorted(rows, np.arange(self.size + 1)), tf.int64)
        self._boxes = tf.constant(boxes[known])
        self._classes = tf.constant(np.searchsorted(self.category_ids, labels[known]) + 1, tf.int32)
        self._is_crowd = tf.constant(is_crowd)
        self._areas = areas[known]
        self._mask_numbers = tf.constant(mask_numbers[known])
        self.training_indices = np.unique(rows[~is_crowd])

    def _read_files(self, index):
        """Reads a record's name for messages, its image's file and its instances' masks, [G] PNG files."""
        path = self._paths[self._shards[index]]
        name = tf.strings.join([path, ": image '", self._source_ids[index], "'"])
        record = read_record(path, self._offsets[index])
        record = check_image(record, tf.strings.length(record) > 0, name, "its record is damaged")
        encoded, masks = parse_image_and_masks(record)
        return name, encoded, tf.gather(masks, self._mask_numbers[self._starts[index] : self._starts[index + 1]])

    def _make_annotations(self, row, image_id, segmentations):
        start = int(self._starts[row])
        for i, segmentation in enumerate(segmentations, start):
            ymin, xmin, ymax, xmax = self._boxes[i].numpy().tolist()
            yield {
                "image_id": image_id,
                "category_id": self.category_ids[int(self._classes[i]) - 1],
                "segmentation": segmentation,
                "area": float(self._areas[i]),
                "bbox": [xmin, ymin, xmax - xmin, ymax - ymin],
                "iscrowd": int(self._is_crowd[i]),
            }


def _check_number_of_records(paths, indices, problems):
    """Reports files without a record, and records that are missing by what the description beside the files says."""
    for path, index in zip(paths, indices, strict=True):
        if not len(index.offsets) and not index.problems:
            problems.report("files without a record", f"{path}: holds no record")
    description = read_description(paths[0])
    there = sum(len(index.offsets) for index in indices)
    if description and description.get("shards") == len(paths) and description.get("records", there) != there:
        detail = f"{there} of {description['records']} records are there"
        problems.report("missing records", f"{find_description(paths[0])}: {detail}")


def _image_ids(source_ids):
    """Returns the source ids as numbers if they are all different ones, else positions from 1."""
    try:
        numbers = [int(source_id) for source_id in source_ids]
    except ValueError:
        numbers = []
    distinct = len(set(numbers)) == len(source_ids) and all(abs(number) <= _LARGEST_ID for number in numbers)
    return numbers if distinct else range(1, len(source_ids) + 1)


def _read_categories(config, key, paths, indices):
    """Returns the classes as the configuration, the file beside the records or these say: dicts sorted by id."""
    if config.categories:
        return _read_categories_file(config.categories, f"{key}.categories: {config.categories}")
    description = find_description(paths[0])
    if description:
        return _read_categories_file(description, f"{key}.records: {description}")
    names = {}
    for index in indices:
        names |= {label: str(label) for label in np.unique(index.labels).tolist()} | index.names
    if not names:
        raise UserError(f"{key}.records: no record has an instance to take classes from; name them by {key}.categories")
    return [{"id": label, "name": names[label]} for label in sorted(names)]


def _read_categories_file(path, where):
    expected = "expected JSON with a list categories of objects with id and name, as COCO's files have it"
    try:
        categories = json.loads(path.read_text(encoding="utf-8-sig"))["categories"]
        categories = [{"id": int(category["id"]), "name": str(category["name"])} for category in categories]
    except OSError as error:
        raise UserError(f"{where}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{where}: {expected}") from None
    if not all(abs(category["id"]) <= _LARGEST_ID for category in categories):
        raise UserError(f"{where}: expected ids of at most {_LARGEST_ID}")
    if not categories or len({category["id"] for category in categories}) < len(categories):
        raise UserError(f"{where}: {expected}, and every id once")
    return sorted(categories, key=lambda category: category["id"])
