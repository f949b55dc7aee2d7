"""The position-sensitive score maps of one region of interest, laid out as in Figure 1 of the paper."""

import numpy as np
import tensorflow as tf
from matplotlib.cm import ScalarMappable
from PIL import Image, ImageDraw, ImageFont

from fcis_tf.ops import ps_assemble, render_masks
from fcis_tf.visualization.draw_instances import draw_instances

_IMAGE_SIDE = 420
_GRID_SIDE = 440
_ASSEMBLED_SIDE = 240
_TITLE_SIZE = 16
_OUTLINE = (80, 255, 120)


def draw_score_maps(image, score_maps, box, label, class_name, *, group_size, pooled_size, stride, binary_threshold):
    """Draws how one region of interest gets its mask (FCIS Figure 1).

    From left to right: the image with the region; the k x k inside score maps of the class around the region, in each
    the cell outlined that the region reads from it, and below them the outside ones; the inside and the outside map
    assembled from those cells; and the mask, where the softmax of the two exceeds the threshold.

    Args:
        image: [H, W, 3] uint8, RGB, as resized for the network.
        score_maps: [h, w, k * k * (C + 1) * 2] float32, of this image.
        box: [4] (ymin, xmin, ymax, xmax) of the region, in pixels of the image.
        label: the class, in 1..C.
        class_name: its name.
        group_size: k.
        pooled_size: the side of an assembled map in bins, P.
        stride: pixels of the image to one cell of the score maps.
        binary_threshold: the mask is where the probability is greater.

    Returns:
        [height, width, 3] uint8, RGB.
    """
    box = np.asarray(box, np.float32)
    window = _neighbourhood(box, image.shape[:2])
    maps = _maps_of_class(score_maps, label, group_size)
    assembled = ps_assemble(
        score_maps[None], box[None], [0], [label], group_size=group_size, pooled_size=pooled_size, stride=stride
    )[1].numpy()[0]
    heat = _heat_colors(maps, window / stride)

    grids, assemblies = [], []
    for name, side in (("inside", 1), ("outside", 0)):
        grid = _draw_grid(maps[..., side], box / stride, window / stride, heat)
        grids += [_title(f"{group_size} x {group_size} {name} score maps: {class_name}"), grid]
        assemblies += [_title(f"{name} map"), _draw_assembled(assembled[..., side], box, heat)]
    columns = [
        [_title("image and region"), _draw_region(image, box)],
        grids,
        assemblies,
        [_title("mask"), _draw_mask(image, assembled, box, label, class_name, binary_threshold)],
    ]
    return np.asarray(_line_up([_stack(column, gap=8) for column in columns], gap=24))


def _neighbourhood(box, image_size):
    """Returns the box [4] float32 of a region with half its size around it, as far as the image reaches."""
    low, high = box[:2], box[2:]
    around = np.maximum(high - low, 1.0) / 2
    limit = np.array(image_size, np.float32)
    return np.concatenate([np.clip(low - around, 0, limit - 1), np.clip(high + around, 1, limit)])


def _maps_of_class(score_maps, label, group_size):
    """Returns the outside and inside maps [h, w, k, k, 2] of one class."""
    height, width, _ = score_maps.shape
    return np.reshape(score_maps, (height, width, group_size, group_size, -1, 2))[..., label, :]


def _heat_colors(maps, window):
    """Returns the colours that all maps share, from the values within a window in cells."""
    ymin, xmin, ymax, xmax = window
    values = maps[int(ymin) : int(np.ceil(ymax)), int(xmin) : int(np.ceil(xmax))]
    # A few extreme cells shall not take the contrast from all others.
    colors = ScalarMappable(cmap="inferno")
    colors.set_clim(*np.percentile(values, (1, 99)))
    return colors


def _draw_region(image, box):
    canvas = _resize(Image.fromarray(image), _IMAGE_SIDE)
    _outline(canvas, box * canvas.width / image.shape[1], width=3)
    return canvas


def _draw_grid(maps, box, window, heat):
    """Draws maps [h, w, k, k] around a region, in each the cell that the region reads; all boxes are in cells."""
    group_size = maps.shape[-1]
    width, height = _size_of_shape(window[2:] - window[:2], _GRID_SIDE // group_size - 2)
    grid = Image.new("RGB", (group_size * (width + 2) - 2, group_size * (height + 2) - 2), "white")
    scale = np.tile((height, width) / (window[2:] - window[:2]), 2)
    cell = (box[2:] - box[:2]) / group_size
    for row, column in np.ndindex(group_size, group_size):
        values = Image.fromarray(np.ascontiguousarray(maps[..., row, column], np.float32))
        values = values.resize((width, height), Image.Resampling.BILINEAR, box=(*window[1::-1], *window[:1:-1]))
        tile = _colored(values, heat)
        low = box[:2] + (row, column) * cell
        _outline(tile, (np.concatenate([low, low + cell]) - np.tile(window[:2], 2)) * scale, width=1)
        grid.paste(tile, (column * (width + 2), row * (height + 2)))
    return grid


def _draw_assembled(values, box, heat):
    """Draws an assembled map [P, P] in the shape of its region."""
    size = _size_of_shape(np.maximum(box[2:] - box[:2], 1.0), _ASSEMBLED_SIDE)
    return _colored(Image.fromarray(values).resize(size, Image.Resampling.NEAREST), heat)


def _draw_mask(image, assembled, box, label, class_name, binary_threshold):
    """Draws the instance that the assembled maps [P, P, 2] give over its image."""
    probabilities = tf.nn.softmax(assembled)[..., 1]
    arguments = probabilities[None], box[None], tf.ones([1, 1]), image.shape[:2]
    _, masks = render_masks(*arguments, binary_threshold=binary_threshold)
    drawn = draw_instances(image, box[None], [1], None, masks.numpy(), [class_name])
    return _resize(Image.fromarray(drawn), _IMAGE_SIDE)


def _colored(values, heat):
    return Image.fromarray(heat.to_rgba(np.asarray(values), bytes=True)[..., :3].copy())


def _outline(canvas, box, width):
    """Outlines a box, given in pixels of the canvas."""
    ymin, xmin, ymax, xmax = box.tolist()
    corners = (xmin, ymin, max(xmax - 1, xmin), max(ymax - 1, ymin))
    ImageDraw.Draw(canvas).rectangle(corners, outline=_OUTLINE, width=width)


def _title(text):
    """Draws a line of text."""
    font = ImageFont.load_default(_TITLE_SIZE)
    canvas = Image.new("RGB", (round(font.getlength(text)) + 2, _TITLE_SIZE + 6), "white")
    ImageDraw.Draw(canvas).text((0, 0), text, font=font, fill="black")
    return canvas


def _size_of_shape(shape, side):
    """Returns the (width, height) of a drawing shaped as (height, width) whose longer side is `side` pixels."""
    height, width = (max(round(side * extent / max(shape)), 1) for extent in shape)
    return width, height


def _resize(canvas, side):
    return canvas.resize(_size_of_shape(canvas.size[::-1], side), Image.Resampling.LANCZOS)


def _stack(panels, gap):
    """Lays panels out from top to bottom, aligned at the left."""
    width, height = max(p.width for p in panels), sum(p.height + gap for p in panels) - gap
    canvas = Image.new("RGB", (width, height), "white")
    y = 0
    for panel in panels:
        canvas.paste(panel, (0, y))
        y += panel.height + gap
    return canvas


def _line_up(panels, gap):
    """Lays panels out from left to right, centred, with a margin around them."""
    width, height = sum(p.width + gap for p in panels) + gap, max(p.height for p in panels) + 2 * gap
    canvas = Image.new("RGB", (width, height), "white")
    x = gap
    for panel in panels:
        canvas.paste(panel, (x, (height - panel.height) // 2))
        x += panel.width + gap
    return canvas
