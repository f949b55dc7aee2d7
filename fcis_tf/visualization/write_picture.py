"""Pictures as files."""

import io

from PIL import Image

from fcis_tf.whole_file import write_bytes


def write_picture(picture, path):
    """Writes a picture; a file that was there stays intact until the new one is complete.

    Args:
        picture: [H, W, 3] uint8, RGB.
        path: of the file, a Path; JPEG if it ends in .jpg or .jpeg, else PNG.

    Raises:
        UserError: the file cannot be written.
    """
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG")
    write_bytes(content.getvalue(), path)
