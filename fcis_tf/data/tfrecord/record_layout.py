"""The layout of a record: a tf.train.Example with the keys of TensorFlow's Model Garden.

Writing is left to Model Garden's own functions; `official/vision/data/create_coco_tf_record.py` there puts the same
features together from COCO's files.
"""

import struct
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from fcis_tf.data.image_file import check_image, first_success
from fcis_tf.data.mask_crops import crop_masks

_BOX_KEYS = [f"image/object/bbox/{side}" for side in ("ymin", "xmin", "ymax", "xmax")]
_MASK_KEY = "image/object/mask"
_LARGEST_SIDE = 2**31 - 1
# A PNG file begins with these and with its width and height.
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_PNG_SIZE = struct.Struct(">II")

NO_MASKS = "records without masks"


class UnusableRecord(Exception):
    """A record that is left out; the message says what is wrong, a noun in the plural."""


class RecordContent(NamedTuple):
    """What a record says, without its image and its masks.

    Attributes:
        source_id: string, the image's name in the data set.
        size: (height, width) of the image.
        boxes: [G, 4] float64 NumPy array, (ymin, xmin, ymax, xmax) in pixels, not yet clipped to the image.
        labels: [G] int64 NumPy array, category ids.
        is_crowd: [G] bool NumPy array.
        areas: [G] float32 NumPy array, in pixels.
        names: list of the categories' names; empty where the record has none.
    """

    source_id: str
    size: tuple
    boxes: np.ndarray
    labels: np.ndarray
    is_crowd: np.ndarray
    areas: np.ndarray
    names: list


def make_example(image, encoded, image_format, annotations, masks, names):
    """Makes a record.

    Args:
        image: dict with id, file_name, height and width.
        encoded: the image file's bytes.
        image_format: jpg, png, bmp or webp.
        annotations: list of dicts with bbox (x, y, width, height), category_id, iscrowd and area.
        masks: iterable of [H, W] uint8 NumPy arrays, 0 or 1, one for each annotation.
        names: dict from category ids to names.

    Returns:
        tf.train.Example.
    """
    # Takes over a second to import, and only writing needs it.
    from official.vision.data import tfrecord_lib

    height, width = image["height"], image["width"]
    features = tfrecord_lib.image_info_to_feature_dict(
        height, width, image["file_name"], image["id"], encoded, image_format
    )
    if annotations:
        x, y, widths, heights = np.array([annotation["bbox"] for annotation in annotations], np.float64).T
        labels = [annotation["category_id"] for annotation in annotations]
        lists = {
            "bbox/xmin": ("float_list", x / width),
            "bbox/xmax": ("float_list", (x + widths) / width),
            "bbox/ymin": ("float_list", y / height),
            "bbox/ymax": ("float_list", (y + heights) / height),
            "class/text": ("bytes_list", [names[label].encode() for label in labels]),
            "class/label": ("int64_list", labels),
            "is_crowd": ("int64_list", [annotation["iscrowd"] for annotation in annotations]),
            "area": ("float_list", [annotation["area"] for annotation in annotations]),
            "mask": ("bytes_list", [tfrecord_lib.encode_mask_as_png(mask) for mask in masks]),
        }
        for name, (kind, values) in lists.items():
            features[f"image/object/{name}"] = tfrecord_lib.convert_to_feature(values, kind)
    return tf.train.Example(features=tf.train.Features(feature=features))


def read_content(contents):
    """Reads and checks a record but for its image and the pixels of its masks.

    Args:
        contents: bytes, empty for a damaged record.

    Returns:
        RecordContent.

    Raises:
        UnusableRecord: it is none, or contradicts itself.
    """
    if not contents:
        raise UnusableRecord("damaged records")
    try:
        features = tf.train.Example.FromString(contents).features.feature
    except DecodeError:
        raise UnusableRecord("records that are no tf.train.Example") from None
    if len(features["image/encoded"].bytes_list.value) != 1:
        raise UnusableRecord("records without an image")
    size = _read_size(features)
    source_id = b"".join(features["image/source_id"].bytes_list.value[:1]).decode(errors="replace")
    boxes = _read_boxes(features) * np.tile(size, 2)
    labels = np.array(features["image/object/class/label"].int64_list.value, np.int64)
    is_crowd = np.array(features["image/object/is_crowd"].int64_list.value, bool)
    areas = np.array(features["image/object/area"].float_list.value, np.float32)
    # As Model Garden does where they are left out.
    is_crowd = is_crowd if is_crowd.size else np.zeros(labels.shape, bool)
    areas = areas if areas.size else np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).astype(np.float32)
    masks = features[_MASK_KEY].bytes_list.value
    if len(boxes) and not masks:
        raise UnusableRecord(NO_MASKS)
    if len({len(boxes), len(labels), len(is_crowd), len(areas), len(masks)}) > 1:
        raise UnusableRecord("records whose boxes, classes and masks differ in number")
    _check_masks(masks, size)
    names = [text.decode(errors="replace") for text in features["image/object/class/text"].bytes_list.value]
    return RecordContent(source_id, size, boxes, labels, is_crowd, areas, names if len(names) == len(labels) else [])


def _read_size(features):
    size = [features[f"image/{side}"].int64_list.value for side in ("height", "width")]
    if not all(len(values) == 1 and 1 <= values[0] <= _LARGEST_SIDE for values in size):
        raise UnusableRecord("records without the image's height and width")
    return size[0][0], size[1][0]


def _read_boxes(features):
    sides = [features[key].float_list.value for key in _BOX_KEYS]
    if len(set(map(len, sides))) > 1:
        raise UnusableRecord("records whose boxes lack sides")
    return np.array(sides, np.float64).T


def _check_masks(masks, size):
    """Looks at the head of each file only, so that no forged size is ever decoded."""
    start = len(_PNG_SIGNATURE)
    for mask in masks:
        head = mask[: start + _PNG_SIZE.size]
        if not head.startswith(_PNG_SIGNATURE) or len(head) < start + _PNG_SIZE.size:
            raise UnusableRecord("records with masks that aren't PNG")
        if _PNG_SIZE.unpack(head[start:])[::-1] != size:
            raise UnusableRecord("records with masks of another size than the image's")


def parse_image_and_masks(contents):
    """Takes the files of a record's image and masks from it, in the graph.

    Args:
        contents: string scalar, a record that `read_content` accepts.

    Returns:
        encoded: string scalar, the image's file.
        masks: [G] string, PNG files.
    """
    features = {
        "image/encoded": tf.io.FixedLenFeature([], tf.string),
        _MASK_KEY: tf.io.RaggedFeature(tf.string),
    }
    parsed = tf.io.parse_single_example(contents, features)
    return parsed["image/encoded"], parsed[_MASK_KEY]


def decode_mask(png):
    """Decodes a mask, in the graph: a string scalar to [H, W] uint8, 0 or 1."""
    return tf.cast(tf.io.decode_png(png, channels=1)[..., 0] > 0, tf.uint8)


def decode_crops(pngs, boxes, size, name):
    """Decodes masks one after the other and crops them to their boxes, in the graph.

    Args:
        pngs: [G] string, PNG files.
        boxes: [G, 4] float32 (ymin, xmin, ymax, xmax) in pixels, within the image.
        size: M.
        name: string scalar, what messages call the image.

    Returns:
        [G, M, M] uint8, 0 or 1.

    Raises:
        tf.errors.InvalidArgumentError: a mask cannot be decoded; see `describe_data_error`.
    """

    def crop(png_and_box):
        png, box = png_and_box
        return crop_masks(decode_mask(png)[None], box[None], size)[0]

    def decode(pngs):
        return tf.map_fn(crop, (pngs, boxes), fn_output_signature=tf.TensorSpec([size, size], tf.uint8))

    count = tf.size(pngs)
    masks = first_success([decode], pngs, tf.zeros([0, size, size], tf.uint8))
    return check_image(masks, tf.shape(masks)[0] == count, name, "has a mask that cannot be decoded; expected PNG")
