"""Instances drawn over their image."""

import numpy as np

from fcis_tf.visualization.colors import instance_color, line_width
from fcis_tf.visualization.draw_labels import draw_labels
from fcis_tf.visualization.glyphs import class_label

_MASK_OPACITY = 0.45


def draw_instances(image, boxes, classes, scores, masks, class_names, *, hide_nothing=False):
    """Draws masks, classes and scores over an image.

    Every instance has a colour of its own: a translucent mask with a crisp outline, and a label at its box. The
    instances come in order of falling score, and the better ones are drawn over the others. Long names are cut, and
    the number stands for a class whose name the font lacks characters of.

    Args:
        image: [H, W, 3] uint8, RGB.
        boxes: [D, 4] (ymin, xmin, ymax, xmax) in pixels of the image.
        classes: [D] integers in 1..C.
        scores: [D] in 0..1, or None for instances without one, such as the ground truth.
        masks: [D, H, W] bool.
        class_names: the names of the C classes; class i + 1 is class_names[i].
        hide_nothing: whether labels are left out that have no place where they hide neither instances nor labels.

    Returns:
        [H, W, 3] uint8, a new image.
    """
    drawn = image.copy()
    for index, mask in reversed(list(enumerate(masks))):
        _paint_mask(drawn, mask, instance_color(index), line_width(image))
    labels = [class_label(class_names[label - 1], label) for label in classes]
    if scores is not None:
        labels = [f"{label}: {score:.2f}" for label, score in zip(labels, scores, strict=True)]
    return draw_labels(drawn, boxes, labels, hide_nothing=hide_nothing)


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
