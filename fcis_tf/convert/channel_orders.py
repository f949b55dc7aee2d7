"""Where the channels of other programs' position-sensitive maps and RPN lie among ours.

Each function returns, for the channels of ours one after the other, the numbers of theirs.
"""

import numpy as np

# Their boxes' offsets may come as (dx, dy, dw, dh).
FROM_XYWH = (1, 0, 3, 2)
FROM_YXHW = (0, 1, 2, 3)


def score_map_order(num_classes, group_size):
    """Returns the order of score maps that lie as (class, outside or inside, gy, gx).

    Args:
        num_classes: with the background.
        group_size: k.

    Returns:
        [k * k * num_classes * 2] integers, for our (gy, gx, class, outside or inside).
    """
    theirs = _numbered(num_classes, 2, group_size, group_size)
    return theirs.transpose(2, 3, 0, 1).ravel()


def box_map_order(group_size, coordinates):
    """Returns the order of box maps that lie as (background or foreground, coordinate, gy, gx), the foreground's half.

    Args:
        group_size: k.
        coordinates: FROM_XYWH or FROM_YXHW.

    Returns:
        [k * k * 4] integers below k * k * 8, for our (gy, gx, coordinate).
    """
    theirs = _numbered(2, 4, group_size, group_size)[1, list(coordinates)]
    return theirs.transpose(1, 2, 0).ravel()


def anchor_logit_order(anchors):
    """Returns the order of the RPN's logits that lie as (background or foreground, anchor): [2 * A], for ours."""
    return _numbered(2, anchors).T.ravel()


def anchor_offset_order(anchors, coordinates):
    """Returns the order of the RPN's offsets that lie as (anchor, coordinate): [4 * A] integers."""
    return _numbered(anchors, 4)[:, list(coordinates)].ravel()


def _numbered(*shape):
    return np.arange(np.prod(shape)).reshape(shape)
