"""What the first bytes of an image file say, read before anything is decoded, in the graph."""

import tensorflow as tf

from fcis_tf.data.file_bytes import FileBytes, unsigned
from fcis_tf.data.first_frame import first_frame
from fcis_tf.data.image_file import first_success

FORMATS = ("JPEG", "PNG", "GIF", "BMP")

# Those which tf.io.decode_image goes by.
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM")
_HEADER_LENGTH = 32


def read_image_header(contents):
    """Finds the format and the size of an image without decoding it.

    Args:
        contents: string scalar, the bytes of an image file, or any others.

    Returns:
        contents: string scalar, the file to decode: of a GIF only the first frame.
        format: int32 scalar, index into FORMATS, or len(FORMATS) for none of them.
        size: [2] int64, the height and width that the decoder will find; values of 0 and less where it will fail.
    """
    header = FileBytes(contents).read(0, _HEADER_LENGTH)
    matches = [tf.reduce_all(header[: len(magic)] == list(magic)) for magic in _MAGIC]
    image_format = tf.argmax(tf.stack([*matches, True]), output_type=tf.int32)
    readers = [
        lambda: (contents, _jpeg_size(contents)),
        lambda: (contents, _png_size(header)),
        lambda: first_frame(contents),
        lambda: (contents, _bmp_size(header)),
        lambda: (contents, tf.zeros([2], tf.int64)),
    ]
    contents, size = tf.switch_case(image_format, readers)
    return contents, image_format, size


def _jpeg_size(contents):
    def size(contents):
        return tf.cast(tf.image.extract_jpeg_shape(contents)[:2], tf.int64)

    return first_success([size], contents, tf.zeros([2], tf.int64))


def _png_size(header):
    width, height = unsigned(header[19:15:-1]), unsigned(header[23:19:-1])
    return tf.where(tf.reduce_all(header[12:16] == list(b"IHDR")), tf.stack([height, width]), 0)


def _bmp_size(header):
    # A negative height says that the first row is the upper one.
    return tf.stack([tf.abs(_signed(header[22:26])), _signed(header[18:22])])


def _signed(values):
    number = unsigned(values)
    return tf.where(number < 2**31, number, number - 2**32)
