"""Colours and text sizes of drawings."""

import colorsys

import numpy as np
from PIL import ImageFont

_GOLDEN_RATIO = 0.618034


def instance_color(index):
    """Returns a vivid RGB colour, three integers, far from those of the neighbouring indices."""
    hue = (0.58 + index * _GOLDEN_RATIO) % 1.0
    lightness = (0.55, 0.68, 0.48)[index % 3]
    return tuple(round(255 * channel) for channel in colorsys.hls_to_rgb(hue, lightness, 0.95))


def text_color(background):
    """Returns black or white, whichever reads better on an RGB background."""
    luminance = np.dot(background, (0.299, 0.587, 0.114))
    return (0, 0, 0) if luminance > 140 else (255, 255, 255)


def line_width(image):
    """Returns the width in pixels of lines over an image [H, W, 3]; it grows with the image."""
    return max(1, round(0.0035 * _side(image)))


def label_font(image):
    """Returns the font of labels over an image [H, W, 3]; it grows with the image."""
    return ImageFont.load_default(max(10, round(0.024 * _side(image))))


def _side(image):
    return (image.shape[0] * image.shape[1]) ** 0.5
