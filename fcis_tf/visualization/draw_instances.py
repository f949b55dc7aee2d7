"""Instances drawn over their image."""

import numpy as np
from PIL import Image, ImageDraw

from fcis_tf.visualization.colors import instance_color, label_font, line_width, text_color

_MASK_OPACITY = 0.45


def draw_instances(image, boxes, classes, scores, masks, class_names):
    """Draws masks, classes and scores over an image.

    Every instance has a colour of its own: a translucent mask with a crisp outline, and a label at its box. The
    instances come in order of falling score, and the better ones are drawn over the others.

    Args:
        image: [H, W, 3] uint8, RGB.
        boxes: [D, 4] (ymin, xmin, ymax, xmax) in pixels of the image.
        classes: [D] integers in 1..C.
        scores: [D] in 0..1, or None for instances without one, such as the ground truth.
        masks: [D, H, W] bool.
        class_names: the names of the C classes; class i + 1 is class_names[i].

    Returns:
        [H, W, 3] uint8, a new image.
    """
    drawn = image.copy()
    for index, mask in reversed(list(enumerate(masks))):
        _paint_mask(drawn, mask, instance_color(index), line_width(image))
    labels = [class_names[label - 1] for label in classes]
    if scores is not None:
        labels = [f"{label}: {score:.2f}" for label, score in zip(labels, scores, strict=True)]
    return _draw_labels(drawn, boxes, labels)


def _paint_mask(image, mask, color, width):
    """Paints a mask into an image in place; does nothing where the mask is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return
    # All work is on the mask's own rectangle, since an image may hold a hundred small instances.
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    region, mask = image[window], mask[window]
    region[mask] = (1 - _MASK_OPACITY) * region[mask] + _MASK_OPACITY * np.array(color)
    region[_outline(mask, width)] = color


def _outline(mask, width):
    """Returns the pixels of a mask [H, W] bool that are at most `width` steps from its outside."""
    inner = np.pad(mask, 1)
    for _ in range(width):
        inner[1:-1, 1:-1] &= inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    return mask & ~inner[1:-1, 1:-1]


def _draw_labels(image, boxes, labels):
    canvas = Image.fromarray(image)
    draw, font = ImageDraw.Draw(canvas), label_font(image)
    margin = font.size // 5
    places = []
    for box, label in zip(boxes, labels, strict=True):
        left, top, right, bottom = draw.textbbox((0, 0), label, font=font)
        size = right - left + 2 * margin, bottom - top + 2 * margin
        places.append(_label_place(box, size, canvas.size, places))
    for index, ((x0, y0, x1, y1), label) in reversed(list(enumerate(zip(places, labels, strict=True)))):
        color = instance_color(index)
        draw.rectangle((x0, y0, x1 - 1, y1 - 1), fill=color)
        left, top, _, _ = draw.textbbox((0, 0), label, font=font)
        draw.text((x0 + margin - left, y0 + margin - top), label, font=font, fill=text_color(color))
    return np.asarray(canvas)


def _label_place(box, size, image_size, taken):
    """Finds the rectangle for a label at its box, where it hides least of the labels that are placed already.

    Args:
        box: (ymin, xmin, ymax, xmax) of the instance.
        size: (width, height) of the label.
        image_size: (width, height) of the image.
        taken: rectangles of other labels.

    Returns:
        (left, top, right, bottom), within the image where it is large enough.
    """
    ymin, xmin, ymax, _ = (round(float(edge)) for edge in box)
    width, height = size
    x = max(min(xmin, image_size[0] - width), 0)
    # Above the box, just inside it at the top and at the bottom, and below it: of equals the first is taken.
    tops = [max(min(y, image_size[1] - height), 0) for y in (ymin - height, ymin, ymax - height, ymax)]
    places = [(x, y, x + width, y + height) for y in tops]
    return min(places, key=lambda place: sum(_overlap(place, other) for other in taken))


def _overlap(a, b):
    """Returns the area in pixels that two rectangles (left, top, right, bottom) share."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)
