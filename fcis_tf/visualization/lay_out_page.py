"""Pictures side by side on a page."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_GAP = 16
_FONT_SIZE = 15
_LINE_HEIGHT = 20


def lay_out_page(pictures, captions, columns):
    """Lays pictures out in rows, each with its caption below.

    Args:
        pictures: list of [H, W, 3] uint8 arrays, at least one.
        captions: a text for each, of one or more lines.
        columns: how many pictures stand in a row, as wide as the widest one.

    Returns:
        [height, width, 3] uint8, RGB.
    """
    columns = min(columns, len(pictures))
    cell = max(picture.shape[1] for picture in pictures)
    lines = max(caption.count("\n") + 1 for caption in captions)
    rows = [slice(start, start + columns) for start in range(0, len(pictures), columns)]
    heights = [max(picture.shape[0] for picture in pictures[row]) for row in rows]
    below = lines * _LINE_HEIGHT + 2 * _GAP
    size = (columns * (cell + _GAP) + _GAP, sum(heights) + len(rows) * below + _GAP)
    page = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(_FONT_SIZE)
    y = _GAP
    for row, height in zip(rows, heights, strict=True):
        for column, (picture, caption) in enumerate(zip(pictures[row], captions[row], strict=True)):
            x = _GAP + column * (cell + _GAP)
            page.paste(Image.fromarray(picture), (x, y + height - picture.shape[0]))
            draw.multiline_text((x, y + height + 6), caption, font=font, fill=(60, 60, 60), spacing=4)
        y += height + below
    return np.asarray(page)
