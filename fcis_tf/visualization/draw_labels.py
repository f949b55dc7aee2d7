"""Labels at the boxes of instances."""

import numpy as np
from PIL import Image, ImageDraw

from fcis_tf.visualization.colors import instance_color, label_font, text_color

# The part of an instance's box that a label may cover, where it shall hide nothing.
_COVERED = 0.2


def draw_labels(image, boxes, labels, *, hide_nothing=False):
    """Draws labels in the colours of their instances, the first ones on top.

    Args:
        image: [H, W, 3] uint8, RGB.
        boxes: [D, 4] (ymin, xmin, ymax, xmax) in pixels of the image.
        labels: D strings of one line.
        hide_nothing: whether a label is left out that has no place where it covers no other label and at most a small
            part of any box.

    Returns:
        [H, W, 3] uint8, a new image.
    """
    canvas = Image.fromarray(image)
    draw, font = ImageDraw.Draw(canvas), label_font(image)
    margin = font.size // 5
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)[:, [1, 0, 3, 2]]
    places = {}
    for index, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        left, top, right, bottom = draw.textbbox((0, 0), label, font=font)
        candidates = _candidates(box, (right - left + 2 * margin, bottom - top + 2 * margin), canvas.size)
        if hide_nothing:
            candidates = [
                place
                for place in candidates
                if place[2] <= canvas.width and _hides_nothing(place, places.values(), corners)
            ]
        if candidates:
            # Of equals the first is taken.
            places[index] = min(candidates, key=lambda place: sum(_overlap(place, other) for other in places.values()))
    for index, (x0, y0, x1, y1) in reversed(places.items()):
        color = instance_color(index)
        draw.rectangle((x0, y0, x1 - 1, y1 - 1), fill=color)
        left, top, _, _ = draw.textbbox((0, 0), labels[index], font=font)
        draw.text((x0 + margin - left, y0 + margin - top), labels[index], font=font, fill=text_color(color))
    return np.asarray(canvas)


def _candidates(box, size, image_size):
    """Returns where the label of an instance could be, the best place first.

    Args:
        box: (ymin, xmin, ymax, xmax) of the instance.
        size: (width, height) of the label.
        image_size: (width, height) of the image.

    Returns:
        A list of (left, top, right, bottom), within the image where it is large enough.
    """
    ymin, xmin, ymax, _ = (round(float(edge)) for edge in box)
    width, height = size
    x = max(min(xmin, image_size[0] - width), 0)
    # Above the box, just inside it at the top and at the bottom, and below it.
    tops = [max(min(y, image_size[1] - height), 0) for y in (ymin - height, ymin, ymax - height, ymax)]
    return [(x, y, x + width, y + height) for y in tops]


def _hides_nothing(place, others, boxes):
    """Tells whether a place is free of other labels, and covers little of each box (left, top, right, bottom)."""
    if any(_overlap(place, other) for other in others):
        return False
    shared = np.minimum(place[2:], boxes[:, 2:]) - np.maximum(place[:2], boxes[:, :2])
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return bool((np.maximum(shared, 0).prod(axis=1) <= _COVERED * areas).all())


def _overlap(a, b):
    """Returns the area in pixels that two rectangles (left, top, right, bottom) share."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)
