"""A folder of images and of files that are none."""

import os

from tests.export.image_files import encode, oriented, picture

GOOD = {
    "7.png": ("PNG", {}),
    "sub/7.jpg": ("JPEG", {}),
    "0012.jpg": ("JPEG", {"exif": oriented(6)}),
    "a.webp": ("WEBP", {"lossless": True}),
    "ü.gif": ("GIF", {}),
    "b.bmp": ("BMP", {}),
}
# Because of what is in them, and because of what they are.
BAD_FILES = ("cut.jpg", "cut.png", "cut.gif", "empty.jpg", "text.jpg", "header.png", "zeros.bmp", "large.png")
BAD = {*BAD_FILES, "lost.jpg", r"bad\xff.jpg"}


def fill_folder(folder):
    """Writes six images, ten of which none can be read, and a folder that is named as an image.

    Args:
        folder: pathlib.Path of a new directory.
    """
    (folder / "sub").mkdir(parents=True)
    for number, (name, (file_format, options)) in enumerate(GOOD.items()):
        (folder / name).write_bytes(encode(picture(40 + 7 * number, 64), file_format, **options))
    image = picture()
    contents = {
        "cut.jpg": encode(image, "JPEG")[:300],
        "cut.png": encode(image, "PNG")[:-40],
        "cut.gif": encode(image, "GIF")[:60],
        "empty.jpg": b"",
        "text.jpg": b"<html>404</html>",
        "header.png": b"\x88PNG" + encode(image, "PNG")[4:],
        "zeros.bmp": bytes(500),
        "large.png": encode(picture(101, 100), "PNG"),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / os.fsdecode(b"bad\xff.jpg")).write_bytes(encode(image, "JPEG"))
    (folder / "folder.jpg").mkdir()
    (folder / "lost.jpg").symlink_to("nowhere")
