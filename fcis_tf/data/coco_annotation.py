"""Checking and cleaning a single annotation in COCO's format."""

import numpy as np
from pycocotools import mask as coco_mask

from fcis_tf.data.problems import Unusable

# Sides of a box below this are slips of the annotator's mouse.
_SMALLEST_SIDE = 0.1

_LARGEST_NUMBER = 2**63 - 1


def clean_annotation(entry, image, report):
    """Brings an annotation to the form that AnnotatedImages have.

    A box or an area that is missing is taken from the mask; one that is wrong too, but that is reported.

    Args:
        entry: dict with image_id and category_id, and whatever else the file says.
        image: dict with height and width of its image.
        report: function of the kind of a problem, the detail and the remedy, for what can be repaired.

    Returns:
        A dict, as in AnnotatedImages.

    Raises:
        Unusable: it has no mask in the image, or one that cannot be read.
    """
    height, width = image["height"], image["width"]
    if entry.get("iscrowd") not in (0, 1, None):
        raise Unusable("annotations whose iscrowd is neither 0 nor 1", "expected an iscrowd of 0 or 1")
    segmentation = _clean_segmentation(entry.get("segmentation"), height, width, report)
    box, area = _clip_box(entry.get("bbox"), height, width), entry.get("area")
    if box is None or not _is_area(area):
        mask = _draw(segmentation, height, width)
        if box is None:
            box = _box_of_mask(mask, entry.get("bbox"), height, width, report)
        if not _is_area(area):
            if area is not None:
                report("areas that are no numbers", f"expected a number as area, found {area!r:.40}", "repaired")
            area = coco_mask.area(mask)
    return {
        "image_id": entry["image_id"],
        "category_id": entry["category_id"],
        "iscrowd": int(entry.get("iscrowd") or 0),
        "area": float(area),
        "bbox": box,
        "segmentation": segmentation,
    }


def _clean_segmentation(segmentation, height, width, report):
    if isinstance(segmentation, dict):
        return _clean_runs(segmentation, height, width)
    if not isinstance(segmentation, list):
        raise Unusable("instances without a segmentation", "expected polygons or run lengths as segmentation")
    polygons = [_clean_polygon(polygon, height, width) for polygon in segmentation]
    usable = [polygon for polygon in polygons if polygon is not None]
    if not usable:
        detail = "expected polygons of three points or more that are no line and reach into the image"
        raise Unusable("polygons that are degenerate or outside of the image", detail)
    if len(usable) < len(polygons):
        detail = "has a polygon that is degenerate or outside of the image beside good ones"
        report("degenerate polygons beside good ones", detail, "repaired")
    return usable


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
        detail = f"has a mask of size {segmentation.get('size')!r:.40}; expected {[height, width]}, as the image is"
        raise Unusable("masks of another size than the image's", detail)
    unreadable = Unusable("unreadable run lengths", "has run lengths that cannot be read, or don't fill the image")
    counts = segmentation.get("counts")
    try:
        if isinstance(counts, list):
            if sum(counts) != height * width or min(counts) < 0:
                raise unreadable
            segmentation = coco_mask.frPyObjects(segmentation, height, width)
        mask = coco_mask.decode(segmentation)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise unreadable from None
    if mask.sum() != coco_mask.area(segmentation):
        # pycocotools leaves pixels behind the last run as it found them in memory.
        raise unreadable
    if not mask.any():
        raise Unusable("empty masks", "has a mask without a pixel")
    return coco_mask.encode(mask)


def _draw(segmentation, height, width):
    """Returns a segmentation as one compressed run-length encoding."""
    if isinstance(segmentation, dict):
        return segmentation
    return coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))


def _box_of_mask(mask, wrong_box, height, width, report):
    """Returns the box of a mask, and reports the one that it replaces."""
    box = _clip_box(coco_mask.toBbox(mask).tolist(), height, width)
    if box is None:
        raise Unusable("masks without a pixel", "has neither a box nor a mask with a pixel in the image")
    if wrong_box is not None:
        detail = f"expected a box that has an area in the image, found {wrong_box!r:.80}"
        report("boxes that are empty, outside of the image or no numbers", detail, "repaired")
    return box


def _clip_box(box, height, width):
    """Clips (x, y, width, height) to the image; None if nothing of it is left or it isn't a box."""
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(value) for value in box):
        return None
    xmin, ymin = max(box[0], 0.0), max(box[1], 0.0)
    sides = [min(box[0] + box[2], width) - xmin, min(box[1] + box[3], height) - ymin]
    return [float(xmin), float(ymin), *map(float, sides)] if min(sides) >= _SMALLEST_SIDE else None


def _is_area(value):
    return _is_number(value) and value >= 0


def _is_number(value):
    return isinstance(value, int | float) and abs(value) <= _LARGEST_NUMBER
