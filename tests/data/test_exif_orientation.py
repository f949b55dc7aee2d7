"""EXIF orientation: found and applied as Pillow does it."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from fcis_tf.data.exif_orientation import read_orientation
from fcis_tf.data.image_file import decode_contents, describe_data_error
from tests.export.image_files import encode, oriented, picture

orientation_of = tf.function(read_orientation, input_signature=[tf.TensorSpec([], tf.string)])
decode = tf.function(decode_contents, input_signature=[tf.TensorSpec([], tf.string)] * 2)
decode_annotated = tf.function(
    decode_contents, input_signature=[tf.TensorSpec([], tf.string)] * 2 + [tf.TensorSpec([2], tf.int32)]
)
IMAGE = picture(6, 10)


def jpeg(exif):
    return encode(IMAGE, "JPEG", exif=exif)


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize(
    "options", [{"file_format": "PNG"}, {"file_format": "WEBP", "lossless": True}, {"file_format": "JPEG"}]
)
def test_images_are_turned_as_by_pillow(options, orientation, byte_order):
    contents = encode(IMAGE, **options, exif=oriented(orientation, byte_order))
    with Image.open(io.BytesIO(contents)) as file:
        expected = np.asarray(ImageOps.exif_transpose(file))
    np.testing.assert_allclose(decode(contents, "a").numpy(), expected, atol=9 if contents[0] == 0xFF else 0)
    assert orientation_of(contents) == (orientation if 1 <= orientation <= 8 else 1)


def test_files_without_an_orientation():
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    contents = [encode(IMAGE, kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP")]
    assert {int(orientation_of(content)) for content in [*contents, jpeg(exif), b"", b"\xff\xd8\xff"]} == {1}


def test_other_segments_may_stand_in_front():
    contents = jpeg(oriented(6))
    segment = b"\xff\xe1" + struct.pack(">H", 2 + 300) + b"http://ns.adobe.com/xap/1.0/\0".ljust(300)
    assert orientation_of(contents[:2] + 3 * segment + contents[2:]) == 6
    # The chain is not followed for ever.
    assert orientation_of(contents[:2] + 1000 * segment + contents[2:]) == 1


@pytest.mark.parametrize(
    ("size", "turned", "found"),
    [((6, 10), 6, "stored"), ((10, 6), 6, "upright"), ((6, 10), 3, "upright"), ((6, 10), 1, "stored")],
)
def test_annotations_say_whether_they_are_of_the_upright_image(size, turned, found):
    contents = encode(IMAGE, "PNG", exif=oriented(turned))
    expected = {"stored": IMAGE, "upright": np.rot90(IMAGE, -1 if turned == 6 else 2)}[found]
    np.testing.assert_array_equal(decode_annotated(contents, "a", size), expected)


@pytest.mark.parametrize("orientation", [1, 6])
def test_annotations_of_neither_size(orientation):
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        decode_annotated(encode(IMAGE, "PNG", exif=oriented(orientation)), "a [é].png", (10, 7))
    found = {1: "10 x 6", 6: "6 x 10"}[orientation]
    assert describe_data_error(error.value) == f"a [é].png: is {found} pixels, but the annotations say 7 x 10"


EXIF_FILES = [encode(IMAGE, kind, exif=oriented(6, order)) for kind in ("JPEG", "PNG", "WEBP") for order in "<>"]


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(EXIF_FILES),
    st.lists(st.tuples(st.floats(0, 1) | st.floats(0, 0.2), st.sampled_from([0, 1, 6, 127, 128, 255])), max_size=5),
    st.floats(0, 1) | st.just(1.0),
)
def test_forged_files_have_some_orientation(contents, changes, length):
    contents = bytearray(contents)
    for position, value in changes:
        contents[int(position * (len(contents) - 1))] = value
    contents = bytes(contents[: round(length * len(contents))])
    assert 1 <= orientation_of(contents) <= 8
    try:
        assert decode(contents, "a").shape[2] == 3
    except tf.errors.InvalidArgumentError as error:
        assert describe_data_error(error).startswith("a: ")


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF1234WEBP"]),
    st.sampled_from([b"", b"\xff\xe1\0\0Exif\0\0", b"\0\0\0\0eXIf", b"EXIF\0\0\0\0", b"\xe1\xff\xffExif\0\0"]),
    st.sampled_from([b"", b"II*\0", b"MM\0*"]),
    st.binary(max_size=60),
)
def test_any_bytes_have_some_orientation(magic, header, byte_order, rest):
    assert 1 <= orientation_of(magic + header + byte_order + rest) <= 8


@pytest.mark.parametrize("offset", [0, 8, 200, 2**31, 2**32 - 1])
@pytest.mark.parametrize("count", [0, 1, 2**16 - 1])
def test_forged_offsets(offset, count):
    contents = b"\xff\xd8\xff\xe1\xff\xffExif\0\0II*\0" + struct.pack("<IH", offset, count)
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, 8, 0)
    assert orientation_of(contents + entry) == (8 if (offset, count) in [(8, 1), (8, 2**16 - 1)] else 1)
