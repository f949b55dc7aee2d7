"""Whether boxes are (x, y, width, height) in pixels, which their masks tell."""

import numpy as np

from fcis_tf.data.checks.finding import Finding, level_of

# Two boxes agree if no edge differs by more than this many pixels and this part of their side.
_PIXELS, _PART = 2.0, 0.05
# Boxes and masks that overlap less than this are of different things.
_SAME = 0.5

# What four numbers a, b, c, d may be instead of (x, y, width, height), and what to do then.
_READINGS = {
    "(xmin, ymin, xmax, ymax)": (
        lambda a, b, c, d: (a, b, c, d),
        "Write each box as (xmin, ymin, xmax - xmin, ymax - ymin)",
    ),
    "(x, y, width - x, height - y), as if xyxy had been made xywh twice": (
        lambda a, b, c, d: (a, b, a + a + c, b + b + d),
        "Add x to each box's width and y to its height, or leave the conversion out",
    ),
    "(x, y, width, height) with x and y those of the centre": (
        lambda a, b, c, d: (a - c / 2, b - d / 2, a + c / 2, b + d / 2),
        "Subtract half of the width from each x and half of the height from each y",
    ),
    "(y, x, height, width)": (
        lambda a, b, c, d: (b, a, b + d, a + c),
        "Swap x with y and width with height in each box; if the masks are what is wrong, swap their x and y",
    ),
    "(ymin, xmin, ymax, xmax)": (
        lambda a, b, c, d: (b, a, d, c),
        "Write each box as (xmin, ymin, xmax - xmin, ymax - ymin)",
    ),
}


def check_normalised(content, config):
    """Boxes or polygons in fractions of the image."""
    for i, kind in enumerate(("boxes", "polygons")):
        normalised = content.is_normalised[:, i]
        if normalised.any():
            yield Finding(
                level_of(normalised.sum(), len(normalised)),
                f"{normalised.sum()} of {len(normalised)} annotations have {kind} within 0 to 1, which are normalised",
                f"Multiply x of all {kind} by the image's width and y by its height: they must be in pixels",
                content.first(normalised),
            )


def check_boxes(content, config):
    """Boxes that their masks contradict, read in other ways too."""
    compared = ~content.is_normalised.any(axis=1) & ~content.is_crowd
    compared &= np.isfinite(content.boxes).all(axis=1) & np.isfinite(content.mask_boxes).all(axis=1)
    a, b, c, d = content.boxes.T
    boxes = np.stack([a, b, a + c, b + d], axis=1)
    wrong = compared & ~_agree(boxes, content.mask_boxes)
    readings = {name: np.stack(read(a, b, c, d), axis=1) for name, (read, _) in _READINGS.items()}
    explained = {name: wrong & _agree(box, content.mask_boxes) for name, box in readings.items()}
    likeliest = max(explained, key=lambda name: explained[name].sum())
    if 2 * explained[likeliest].sum() > wrong.sum():
        count = explained[likeliest].sum()
        yield Finding(
            level_of(count, compared.sum()),
            f"{count} of {compared.sum()} boxes agree with their mask only if they are read as {likeliest}, "
            "where COCO has (x, y, width, height)",
            _READINGS[likeliest][1],
            content.first(explained[likeliest]),
        )
        wrong &= ~explained[likeliest]
    apart = wrong & (_iou(boxes, content.mask_boxes) < _SAME)
    if apart.any():
        yield Finding(
            level_of(apart.sum(), compared.sum()),
            f"{apart.sum()} of {compared.sum()} boxes have an IoU of less than {_SAME} with the box around their mask",
            "Make each bbox the tight box of its segmentation, or leave bbox out: it is then made from the mask",
            content.first(apart),
        )


def check_boxes_in_image(content, config):
    """Boxes beyond their image, where there is no mask to tell why."""
    x, y, width, height = content.boxes.T
    image_height, image_width = content.sizes_of_annotations.T
    beyond = (x + width > image_width + _PIXELS) | (y + height > image_height + _PIXELS)
    beyond |= (x < -_PIXELS) | (y < -_PIXELS)
    compared = np.isfinite(content.boxes).all(axis=1) & np.isfinite(content.sizes_of_annotations).all(axis=1)
    agrees = _agree(np.stack([x, y, x + width, y + height], axis=1), content.mask_boxes)
    beyond &= compared & (agrees | np.isnan(content.mask_boxes).any(axis=1))
    if not beyond.any():
        return
    as_corners = (width > x) & (height > y) & (width <= image_width + 1) & (height <= image_height + 1)
    hint = "; all boxes fit if they are read as (xmin, ymin, xmax, ymax)" if as_corners[compared].all() else ""
    yield Finding(
        level_of(beyond.sum(), compared.sum()),
        f"{beyond.sum()} of {compared.sum()} boxes reach beyond their image{hint}",
        "Write each box as (xmin, ymin, xmax - xmin, ymax - ymin)"
        if hint
        else "Compare the image's height and width with the file; boxes are cut at the image's edge",
        content.first(beyond),
    )


def _agree(boxes, others):
    """Returns which boxes (xmin, ymin, xmax, ymax) [n, 4] are about the same; not those with NaN."""
    sides = np.tile(others[:, 2:] - others[:, :2], 2)
    return (np.abs(boxes - others) <= _PIXELS + _PART * sides).all(axis=1)


def _iou(boxes, others):
    """Returns the IoU of boxes (xmin, ymin, xmax, ymax) with others, one with one: [n]."""
    shared = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])
    shared = np.maximum(shared, 0).prod(axis=1)
    areas = [np.maximum(b[:, 2:] - b[:, :2], 0).prod(axis=1) for b in (boxes, others)]
    return shared / np.maximum(sum(areas) - shared, 1e-9)
