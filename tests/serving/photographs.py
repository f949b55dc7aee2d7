"""Image files with a bright rectangle for the tiny model to find."""

import io

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 60, 80
# Rows 10 to 29, columns 20 to 59.
BOX = (10, 20, 30, 60)


def bright_rectangle():
    """Returns [60, 80, 3] uint8: dark, with a bright rectangle."""
    image = np.full((HEIGHT, WIDTH, 3), 30, np.uint8)
    ymin, xmin, ymax, xmax = BOX
    image[ymin:ymax, xmin:xmax] = 250
    return image


def encode(image, format="PNG", **options):
    """Returns an image as the bytes of a file."""
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, format, **options)
    return encoded.getvalue()


def turned_bytes(image, format="PNG", **options):
    """Returns the bytes of a file that a viewer turns to show the image: EXIF orientation 6."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(np.ascontiguousarray(np.rot90(image, k=1)), format, exif=exif, **options)
