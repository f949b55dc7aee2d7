"""Pictures side by side on a page."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_GAP = 18
_FONT_SIZE = 16
_LINE_HEIGHT = 21
_INK = (60, 60, 60)


def lay_out_page(pictures, captions, width=2300):
    """Lays pictures out in rows, each with its caption below.

    Args:
        pictures: list of [H, W, 3] uint8 arrays, at least one.
        captions: a text for each, of one or more lines.
        width: how wide a row may become; a wider picture has one of its own.

    Returns:
        [height, width, 3] uint8, RGB.
    """
    rows = _rows([picture.shape[1] for picture in pictures], width)
    heights = [max(pictures[i].shape[0] for i in row) for row in rows]
    below = max(caption.count("\n") + 1 for caption in captions) * _LINE_HEIGHT + _GAP
    widest = max(sum(pictures[i].shape[1] + _GAP for i in row) for row in rows)
    page = Image.new("RGB", (widest + _GAP, sum(heights) + len(rows) * (below + _GAP) + _GAP), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(_FONT_SIZE)
    y = _GAP
    for row, height in zip(rows, heights, strict=True):
        x = _GAP
        for i in row:
            page.paste(Image.fromarray(pictures[i]), (x, y + height - pictures[i].shape[0]))
            draw.multiline_text((x, y + height + 6), captions[i], font=font, fill=_INK, spacing=5)
            x += pictures[i].shape[1] + _GAP
        y += height + below + _GAP
    return np.asarray(page)


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
