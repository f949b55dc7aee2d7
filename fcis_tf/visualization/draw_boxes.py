"""Boxes drawn over their image, such as the proposals of the RPN."""

import matplotlib
import numpy as np
from PIL import Image, ImageDraw

from fcis_tf.visualization.colors import line_width


def draw_boxes(image, boxes, scores):
    """Draws the outlines of boxes, brighter the higher their score, the best ones on top.

    Args:
        image: [H, W, 3] uint8, RGB.
        boxes: [B, 4] (ymin, xmin, ymax, xmax), half-open, in pixels of the image.
        scores: [B], in any range.

    Returns:
        [H, W, 3] uint8, a new image.
    """
    canvas = Image.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    order = np.argsort(scores)
    # Colours follow the rank: scores of proposals crowd at one end of their range.
    colors = matplotlib.colormaps["plasma"](np.linspace(0.1, 0.95, len(order)), bytes=True)[:, :3]
    for color, (ymin, xmin, ymax, xmax) in zip(colors.tolist(), np.asarray(boxes)[order].tolist(), strict=True):
        corners = (xmin, ymin, max(xmax - 1, xmin), max(ymax - 1, ymin))
        draw.rectangle(corners, outline=tuple(color), width=line_width(image))
    return np.asarray(canvas)
