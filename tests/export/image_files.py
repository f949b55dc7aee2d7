"""Image files of all kinds that a server may be sent."""

import io

import numpy as np
from PIL import Image


def picture(height=24, width=40):
    """Returns [height, width, 3] uint8: smooth, with some noise."""
    rows, columns = np.mgrid[:height, :width]
    smooth = np.stack([rows * 5, columns * 4, 255 - rows - columns], axis=-1)
    noise = np.random.default_rng(0).integers(0, 20, (height, width, 3))
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)


def encode(image, file_format, mode="RGB", **options):
    """Returns an image [H, W, 3] uint8 as the bytes of a file."""
    file = io.BytesIO()
    Image.fromarray(image).convert(mode).save(file, file_format, **options)
    return file.getvalue()


def oriented(orientation, byte_order="<"):
    """Returns EXIF data with an orientation."""
    exif = Image.Exif()
    exif.endian = byte_order
    exif[0x010F] = "a camera"
    exif[0x0112] = orientation
    return exif.tobytes()


def sixteen_bits(image):
    """Returns the grey of an image as a PNG of 16 bits."""
    file = io.BytesIO()
    Image.fromarray(image[..., 0].astype(np.uint16) * 257).save(file, "PNG")
    return file.getvalue()


def animation(*images, **options):
    """Returns images as the frames of a GIF."""
    first, *others = [Image.fromarray(image).convert("P") for image in images]
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=others, loop=0, duration=50, **options)
    return file.getvalue()


def valid_files():
    """Returns {name: bytes} of files that are accepted."""
    image = picture()
    return {
        "jpeg": encode(image, "JPEG"),
        "jpeg, grey": encode(image, "JPEG", "L"),
        "jpeg, CMYK": encode(image, "JPEG", "CMYK"),
        "jpeg, progressive": encode(image, "JPEG", progressive=True),
        "jpeg, mirrored": encode(image, "JPEG", exif=oriented(2)),
        "jpeg, comment": encode(image, "JPEG", comment=b"\xff\xda" * 20),
        "png": encode(image, "PNG"),
        "png, grey": encode(image, "PNG", "L"),
        "png, one bit": encode(image, "PNG", "1"),
        "png, palette": encode(image, "PNG", "P"),
        "png, transparent palette": encode(image, "PNG", "P", transparency=3),
        "png, alpha": encode(image, "PNG", "RGBA"),
        "png, grey and alpha": encode(image, "PNG", "LA"),
        "png, 16 bits": sixteen_bits(image),
        "gif": encode(image, "GIF"),
        "gif, grey": encode(image, "GIF", "L"),
        "gif, transparent": encode(image, "GIF", "P", transparency=3),
        "gif, extensions": encode(image, "GIF", comment=b"c" * 300),
        "gif, interlaced": encode(image, "GIF", "P", interlace=1),
        "gif, animated": animation(image, image[::-1], image // 2),
        "png, turned by half": encode(image, "PNG", exif=oriented(3)),
        "bmp": encode(image, "BMP"),
        "bmp, grey": encode(image, "BMP", "L"),
        "bmp, 32 bits": encode(image, "BMP", "RGBA"),
        "one pixel": encode(image[:1, :1], "PNG"),
    }
