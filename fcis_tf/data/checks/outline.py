"""What of a mask can be told without drawing it."""

from typing import NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

_UNKNOWN = (np.nan,) * 4
# Of both sides: pycocotools numbers the pixels of a mask in 32 bits.
_LARGEST_SIDE = 2**16 - 1


class Outline(NamedTuple):
    """The extent of a segmentation.

    Attributes:
        kind: POLYGONS or RUNS; MISSING without a segmentation, EMPTY without an area, UNREADABLE for anything else.
        box: (xmin, ymin, xmax, ymax), tight around the mask; NaN unless the kind is POLYGONS or RUNS.
        is_rectangle: whether the mask is this box.
        size: (height, width) of the image that run lengths are for, or None.
    """

    kind: str
    box: tuple = _UNKNOWN
    is_rectangle: bool = False
    size: tuple | None = None

    POLYGONS, RUNS, MISSING, EMPTY, UNREADABLE = "polygons", "runs", "missing", "empty", "unreadable"


def read_outline(segmentation):
    """Returns the Outline of what stands as an annotation's segmentation, which may be anything."""
    if segmentation is None or segmentation == [] or segmentation == {}:
        return Outline(Outline.MISSING)
    if isinstance(segmentation, list):
        return _outline_of_polygons(segmentation)
    return _outline_of_runs(segmentation) if isinstance(segmentation, dict) else Outline(Outline.UNREADABLE)


def _outline_of_polygons(polygons):
    try:
        parts = [np.array(polygon, np.float64) for polygon in polygons]
    except (TypeError, ValueError, OverflowError):
        return Outline(Outline.UNREADABLE)
    if any(part.ndim != 1 or part.size % 2 or not np.isfinite(part).all() for part in parts):
        return Outline(Outline.UNREADABLE)
    points = np.concatenate(parts).reshape(-1, 2)
    if not len(points):
        return Outline(Outline.EMPTY)
    low, high = points.min(axis=0), points.max(axis=0)
    if not (low < high).all():
        return Outline(Outline.EMPTY)
    at_corner = ((points == low) | (points == high)).all()
    is_rectangle = bool(at_corner and len(parts) == 1 and len(np.unique(points, axis=0)) == 4)
    return Outline(Outline.POLYGONS, (*low.tolist(), *high.tolist()), is_rectangle)


def _outline_of_runs(segmentation):
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not isinstance(size, list | tuple) or len(size) != 2 or not all(_is_side(side) for side in size):
        return Outline(Outline.UNREADABLE)
    size = tuple(size)
    try:
        runs = {"size": list(size), "counts": _checked_counts(counts, size)}
        runs = coco_mask.frPyObjects(runs, *size) if isinstance(counts, list) else runs
        x, y, width, height = coco_mask.toBbox(runs).tolist()
        area = int(coco_mask.area(runs))
    except (TypeError, ValueError, OverflowError):
        return Outline(Outline.UNREADABLE, size=size)
    if area == 0:
        return Outline(Outline.EMPTY, size=size)
    return Outline(Outline.RUNS, (x, y, x + width, y + height), area == width * height, size)


def _is_side(value):
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _LARGEST_SIDE


def _checked_counts(counts, size):
    """Returns run lengths that pycocotools can take, which trusts them.

    Raises:
        ValueError: they are something else.
    """
    if isinstance(counts, list):
        if any(not isinstance(run, int) or run < 0 for run in counts) or sum(counts) != size[0] * size[1]:
            raise ValueError
        return counts
    text = counts.encode("ascii") if isinstance(counts, str) else counts
    # Six bits a character from "0" on, the sixth says that the number goes on: the last one's must not.
    if not isinstance(text, bytes) or not text or not all(48 <= c < 112 for c in text) or (text[-1] - 48) & 32:
        raise ValueError
    return text
