"""What the network is taught of an image: instances, and the anchors that stand for them."""

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw

from fcis_tf.ops import render_masks
from fcis_tf.visualization.colors import instance_color, line_width
from fcis_tf.visualization.draw_instances import draw_instances
from fcis_tf.visualization.glyphs import class_label

# They show what is below: there may be more than a hundred anchors. Dark beside white is seen on every ground.
_ANCHOR_COLOR, _ANCHOR_EDGE = (255, 255, 255, 120), (0, 0, 0, 70)


def draw_training_example(image, boxes, classes, is_crowd, masks, anchors, class_names):
    """Draws instances with their boxes, and anchors as thin white lines with a dark edge below them.

    A name that would hide instances or other names is left out.

    Args:
        image: [H, W, 3] uint8, RGB.
        boxes: [G, 4] float32 (ymin, xmin, ymax, xmax) in pixels of the image.
        classes: [G] integers in 1..C.
        is_crowd: [G] bool, which are drawn with names in brackets.
        masks: [G, M, M] of 0 and 1, each cropped to its box.
        anchors: [A, 4] float32 in pixels of the image.
        class_names: the names of the C classes.

    Returns:
        [H, W, 3] uint8, a new image.
    """
    # The names in brackets are classes of their own.
    labels = [class_label(name, number, room=2) for number, name in enumerate(class_names, start=1)]
    names = [*class_names, *(f"({label})" for label in labels)]
    labels = np.where(is_crowd, classes + len(class_names), classes)
    image = _outline(image, np.asarray(anchors) + (-1, -1, 1, 1), [_ANCHOR_EDGE] * len(anchors), 1)
    image = _outline(image, anchors, [_ANCHOR_COLOR] * len(anchors), 1)
    masks = _render(masks, boxes, image.shape[:2])
    drawn = draw_instances(image, boxes, labels, None, masks, names, hide_nothing=True)
    return _outline(drawn, boxes, [instance_color(i) for i in range(len(boxes))], line_width(image))


def _render(masks, boxes, image_size):
    """Renders crops at the resolution of the image, [G, H, W] bool; no votes but each crop's own."""
    masks = tf.cast(masks, tf.float32)
    votes = tf.eye(len(boxes))
    return render_masks(masks, tf.cast(boxes, tf.float32), votes, image_size, binary_threshold=0.5)[1].numpy()


def _outline(image, boxes, colors, width):
    canvas = Image.fromarray(image)
    draw = ImageDraw.Draw(canvas, "RGBA")
    for (ymin, xmin, ymax, xmax), color in zip(np.asarray(boxes).tolist(), colors, strict=True):
        draw.rectangle((xmin, ymin, max(xmax - 1, xmin), max(ymax - 1, ymin)), outline=color, width=width)
    return np.asarray(canvas)
