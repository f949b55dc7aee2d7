"""Reading and checking annotations in COCO's JSON format."""

import json
from itertools import pairwise
from pathlib import PurePosixPath

import numpy as np
from pycocotools import mask as coco_mask
from tqdm import tqdm

from fcis_tf.data.annotated_images import AnnotatedImages
from fcis_tf.data.problems import Problems
from fcis_tf.errors import UserError

DOWNLOAD_HINT = (
    "expected images and their annotations in COCO's JSON format. COCO: https://cocodataset.org/#download; "
    "PASCAL VOC's and SBD's own files are read by the formats voc and sbd"
)

# TensorFlow's int64 and int32.
_LARGEST_ID = 2**63 - 1
_LARGEST_SIDE = 2**31 - 1

# Sides of a box below this are slips of the annotator's mouse.
_SMALLEST_SIDE = 0.1


class _Unusable(Exception):
    """An annotation that is left out; the message says why."""


def read_coco(config, key, strict):
    """Reads an annotation file.

    An annotation without a pixel in its image, such as a polygon that lies wholly outside, is left out of training and
    of the ground truth alike, though pycocotools would count it as one more instance that isn't found.

    Args:
        config: CocoDataset.
        key: where in the configuration it stands.
        strict: whether an annotation or an image that cannot be used is an error.

    Returns:
        AnnotatedImages.

    Raises:
        UserError: a file is missing, or the annotations aren't COCO JSON or contradict themselves.
    """
    where = f"{key}.annotations: {config.annotations}"
    content = _read_json(config.annotations, where)
    categories = _read_entries(content, "categories", {"id": int, "name": str}, where)
    images = _read_entries(content, "images", {"id": int, "file_name": str, "height": int, "width": int}, where)
    for image in images:
        _check_image(image, where)
    used = images[: config.max_images or None]
    problems = Problems(where, strict)
    annotations = _read_annotations(content, images, used, categories, problems)
    paths = _find_images(used, config.images, f"{key}.images")
    return AnnotatedImages(used, paths, annotations, categories, problems)


def _read_json(path, where):
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except FileNotFoundError:
        raise UserError(f"{where}: no such file; {DOWNLOAD_HINT}") from None
    except OSError as error:
        raise UserError(f"{where}: cannot be read: {error.strerror}") from None
    except RecursionError:
        raise UserError(f"{where}: not COCO JSON: nested too deeply") from None
    except ValueError as error:
        raise UserError(f"{where}: not JSON: {error}") from None
    lists = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in lists):
        raise UserError(f"{where}: not COCO JSON: expected an object with the lists {', '.join(lists)}")
    return content


def _read_entries(content, name, types, where):
    """Checks a list of dicts with unique ids and returns it sorted by id."""
    entries = content[name]
    if not entries:
        raise UserError(f"{where}: the list {name} is empty")
    for i, entry in enumerate(entries):
        _check_types(entry, types, f"{where}: {name}[{i}]")
        if abs(entry["id"]) > _LARGEST_ID:
            raise UserError(f"{where}: {name}[{i}]: expected an id of at most {_LARGEST_ID}")
    entries = sorted(entries, key=lambda entry: entry["id"])
    for entry, following in pairwise(entries):
        if entry["id"] == following["id"]:
            raise UserError(f"{where}: {name}: id {entry['id']} stands there twice")
    return entries


def _check_types(entry, types, where):
    for field, expected in types.items():
        if not isinstance(entry, dict) or not isinstance(entry.get(field), expected):
            raise UserError(f"{where}: not COCO JSON: expected an object with {field} of type {expected.__name__}")


def _check_image(image, where):
    if not all(1 <= side <= _LARGEST_SIDE for side in (image["height"], image["width"])):
        raise UserError(f"{where}: image id {image['id']}: height and width must be from 1 to {_LARGEST_SIDE}")
    file_name = PurePosixPath(image["file_name"])
    if file_name.is_absolute() or ".." in file_name.parts:
        raise UserError(f"{where}: image id {image['id']}: {file_name} lies outside of the images folder")


def _find_images(images, folder, key):
    if not folder.is_dir():
        raise UserError(f"{key}: {folder}: no such folder; {DOWNLOAD_HINT}")
    paths = [folder / image["file_name"] for image in images]
    for image, path in zip(images, paths, strict=True):
        if not path.is_file():
            raise UserError(f"{key}: image id {image['id']} has no file {path}")
    return paths


def _read_annotations(content, images, used, categories, problems):
    known_images, used_images = {image["id"] for image in images}, {image["id"]: image for image in used}
    known_categories = {category["id"] for category in categories}
    annotations = []
    for i, entry in enumerate(tqdm(content["annotations"], "Checking annotations", delay=2, leave=False)):
        place = f"{problems.origin}: annotations[{i}]"
        _check_types(entry, {"image_id": int, "category_id": int}, place)
        if entry["image_id"] not in known_images:
            raise UserError(f"{place}: image id {entry['image_id']} isn't in the list images")
        if entry["category_id"] not in known_categories:
            raise UserError(f"{place}: category id {entry['category_id']} isn't in the list categories")
        if entry["image_id"] in used_images:
            try:
                annotations.append(_clean_annotation(entry, used_images[entry["image_id"]]))
            except _Unusable as problem:
                problems.report(str(problem), f"annotations[{i}]: {problem}")
    return annotations


def _clean_annotation(entry, image):
    height, width = image["height"], image["width"]
    segmentation = _clean_segmentation(entry.get("segmentation"), height, width)
    box, area = _clip_box(entry.get("bbox"), height, width), entry.get("area")
    if box is None or not _is_number(area):
        mask = _draw(segmentation, height, width)
        box = box or _clip_box(coco_mask.toBbox(mask).tolist(), height, width)
        area = area if _is_number(area) else coco_mask.area(mask)
    if box is None:
        raise _Unusable("boxes that are empty or outside of the image")
    return {
        "image_id": entry["image_id"],
        "category_id": entry["category_id"],
        "iscrowd": int(bool(entry.get("iscrowd", 0))),
        "area": float(area),
        "bbox": box,
        "segmentation": segmentation,
    }


def _clean_segmentation(segmentation, height, width):
    if isinstance(segmentation, dict):
        return _clean_runs(segmentation, height, width)
    if not isinstance(segmentation, list):
        raise _Unusable("instances without a segmentation")
    polygons = [_clean_polygon(polygon, height, width) for polygon in segmentation]
    polygons = [polygon for polygon in polygons if polygon is not None]
    if not polygons:
        raise _Unusable("polygons that are degenerate or outside of the image")
    return polygons


def _clean_polygon(polygon, height, width):
    """Returns the polygon, or None if it has fewer than three points, no area, or none in the image."""
    try:
        points = np.asarray(polygon, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    if points.ndim != 1 or points.size < 6 or points.size % 2 or not np.isfinite(points).all():
        return None
    x, y = points[0::2], points[1::2]
    if np.dot(x, np.roll(y, 1)) == np.dot(y, np.roll(x, 1)):
        return None
    if x.max() <= 0 or y.max() <= 0 or x.min() >= width or y.min() >= height:
        return None
    # Drawing takes time in proportion to the length of the outline, whether it's within the image or not.
    points[0::2], points[1::2] = np.clip(x, -width, 2 * width), np.clip(y, -height, 2 * height)
    return points.tolist()


def _clean_runs(segmentation, height, width):
    """Returns a run-length encoding in its compressed form."""
    if segmentation.get("size") != [height, width]:
        raise _Unusable("masks of another size than the image's")
    counts = segmentation.get("counts")
    try:
        if isinstance(counts, list):
            if sum(counts) != height * width or min(counts) < 0:
                raise _Unusable("unreadable run lengths")
            segmentation = coco_mask.frPyObjects(segmentation, height, width)
        mask = coco_mask.decode(segmentation)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _Unusable("unreadable run lengths") from None
    if mask.sum() != coco_mask.area(segmentation):
        # pycocotools leaves pixels behind the last run as it found them in memory.
        raise _Unusable("unreadable run lengths")
    if not mask.any():
        raise _Unusable("empty masks")
    return coco_mask.encode(mask)


def _draw(segmentation, height, width):
    """Returns a segmentation as one compressed run-length encoding."""
    if isinstance(segmentation, dict):
        return segmentation
    return coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))


def _clip_box(box, height, width):
    """Clips (x, y, width, height) to the image; None if nothing of it is left or it isn't a box."""
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(value) for value in box):
        return None
    xmin, ymin = max(box[0], 0.0), max(box[1], 0.0)
    sides = [min(box[0] + box[2], width) - xmin, min(box[1] + box[3], height) - ymin]
    return [float(xmin), float(ymin), *map(float, sides)] if min(sides) >= _SMALLEST_SIDE else None


def _is_number(value):
    return isinstance(value, int | float) and abs(value) <= _LARGEST_ID
