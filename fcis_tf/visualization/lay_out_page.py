"""Pictures side by side on a page."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fcis_tf.visualization.glyphs import drawable, shorten

_GAP = 18
_FONT_SIZE = 16
_LINE_HEIGHT = 21
_INK = (60, 60, 60)
_FRAME = (190, 190, 190)
# What a caption may take below a narrower picture.
_CAPTION_WIDTH = 300


def lay_out_page(pictures, captions, width=2300):
    """Lays pictures out in rows, each in a thin frame and with its caption below.

    Args:
        pictures: list of [H, W, 3] uint8 arrays, at least one.
        captions: a text for each, of one or more lines; lines that are too long are cut.
        width: how wide a row may become; a wider picture has one of its own.

    Returns:
        [height, width, 3] uint8, RGB.
    """
    font = ImageFont.load_default(_FONT_SIZE)
    captions = [
        _fit(caption, font, max(picture.shape[1], _CAPTION_WIDTH))
        for caption, picture in zip(captions, pictures, strict=True)
    ]
    # A place on the page is as wide as the caption, lest it runs into the next one.
    widths = [
        max(picture.shape[1], *(math.ceil(font.getlength(line)) for line in caption.split("\n")))
        for caption, picture in zip(captions, pictures, strict=True)
    ]
    rows = _rows(widths, width)
    heights = [max(pictures[i].shape[0] for i in row) for row in rows]
    below = max(caption.count("\n") + 1 for caption in captions) * _LINE_HEIGHT + _GAP
    widest = max(sum(widths[i] + _GAP for i in row) for row in rows)
    page = Image.new("RGB", (widest + _GAP, sum(heights) + len(rows) * (below + _GAP) + _GAP), "white")
    draw = ImageDraw.Draw(page)
    y = _GAP
    for row, height in zip(rows, heights, strict=True):
        x = _GAP
        for i in row:
            top, right = y + height - pictures[i].shape[0], x + pictures[i].shape[1]
            draw.rectangle((x - 1, top - 1, right, y + height), outline=_FRAME)
            page.paste(Image.fromarray(pictures[i]), (x, top))
            draw.multiline_text((x, y + height + 6), captions[i], font=font, fill=_INK, spacing=5)
            x += widths[i] + _GAP
        y += height + below + _GAP
    return np.asarray(page)


def _fit(caption, font, width):
    lines = (drawable(line) for line in caption.split("\n"))
    return "\n".join(shorten(line, width, font.getlength) for line in lines)


def _rows(widths, limit):
    """Returns lists of positions, as many in a row as fit."""
    rows, taken = [], limit
    for i, width in enumerate(widths):
        taken += width + _GAP
        if taken > limit:
            rows.append([])
            taken = width
        rows[-1].append(i)
    return rows
