"""Decoding images that anyone may have sent."""

import resource
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fcis_tf.data import decode_image
from fcis_tf.data.first_frame import first_frame
from fcis_tf.export import MAX_SIDE, decode_image_bytes
from tests.export.image_files import animation, encode, picture, valid_files

MAX_PIXELS = 2000
FILES = valid_files()

decode = tf.function(
    lambda contents: decode_image_bytes(contents, tf.constant(3), MAX_PIXELS),
    input_signature=[tf.TensorSpec([], tf.string)],
)


def problem(contents):
    """Returns what is said about a file that is refused, without what TensorFlow says around it."""
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        decode(contents)
    assert "[image_bytes[3]: " in error.value.message
    return error.value.message.partition("[image_bytes[3]: ")[2]


@pytest.mark.parametrize("name", FILES)
def test_pixels_are_those_of_training(name, tmp_path):
    path = tmp_path / "image"
    path.write_bytes(FILES[name])
    expected = decode_image(str(path)).numpy()
    np.testing.assert_array_equal(decode(FILES[name]), expected)
    assert expected.shape in ((24, 40, 3), (1, 1, 3))


@pytest.mark.parametrize(
    "contents", [b"", b"text", b"\xff\xd8", b"B", bytes(100), encode(picture(), "WEBP"), encode(picture(), "TIFF")]
)
def test_other_files_are_refused_with_the_formats_that_are_not(contents):
    assert problem(contents).startswith("not an image that can be read; expected JPEG, PNG, GIF or BMP")


@pytest.mark.parametrize("name", ["jpeg", "jpeg, progressive", "png", "gif", "gif, animated", "bmp"])
def test_a_part_of_a_file_is_refused(name):
    contents = FILES[name]
    whole = len(first_frame(contents)[0].numpy()) if "gif" in name else len(contents)
    # A file can do without its last marker, and a BMP file without padding.
    for length in {*range(8, whole - 12, 7), whole - 12}:
        assert problem(contents[:length]).startswith("a damaged or incomplete file")


def jpeg_of(height, width):
    contents = bytearray(FILES["jpeg"])
    begin = contents.index(b"\xff\xc0") + 5
    contents[begin : begin + 4] = struct.pack(">HH", height, width)
    return bytes(contents)


def png_of(height, width):
    contents = FILES["png"]
    header = b"IHDR" + struct.pack(">II", width, height) + contents[24:29]
    return contents[:12] + header + struct.pack(">I", zlib.crc32(header)) + contents[33:]


def bmp_of(height, width):
    return FILES["bmp"][:18] + struct.pack("<ii", width, height) + FILES["bmp"][26:]


def gif_of(height, width):
    contents = bytearray(FILES["gif"])
    begin = contents.index(b",\0\0\0\0") + 5
    contents[begin : begin + 4] = struct.pack("<HH", width, height)
    return bytes(contents)


@pytest.mark.parametrize("file_of", [jpeg_of, png_of, bmp_of, gif_of])
@pytest.mark.parametrize("height, width", [(50, 41), (1, MAX_SIDE + 1), (60_000, 65_000)])
def test_large_images_are_refused_by_their_headers(file_of, height, width):
    message = problem(file_of(height, width))
    assert message.startswith(f"an image of height {height} and width {width} pixels; expected at most {MAX_SIDE} a")


@pytest.mark.parametrize(
    "file_of, height, width",
    [
        *((file_of, *size) for file_of in (jpeg_of, png_of, bmp_of, gif_of) for size in ((0, 40), (24, 0))),
        (png_of, 2**32 - 1, 2**31),
        (bmp_of, -(2**31), -1),
    ],
)
def test_impossible_sizes_are_refused(file_of, height, width):
    assert problem(file_of(height, width))


def test_a_bmp_may_begin_with_its_upper_row():
    np.testing.assert_array_equal(decode(bmp_of(-24, 40)), picture()[::-1])


def test_later_frames_of_an_animation_take_neither_memory_nor_part():
    # Each is 16 million pixels large and a few kilobytes long: 6.4 GB in all.
    small, large = animation(picture()), animation(np.zeros([4000, 4000, 3], np.uint8))
    frame = large[large.index(b",\0\0\0\0\xa0\x0f\xa0\x0f") : -1]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    np.testing.assert_array_equal(decode(small[:-1] + 400 * frame + b";"), decode(small))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000


def test_a_jpeg_of_very_many_scans_is_refused():
    contents = encode(picture(), "JPEG", progressive=True)
    begin, end = contents.rindex(b"\xff\xda"), contents.rindex(b"\xff\xd9")
    many = contents[:begin] + 100 * contents[begin:end] + contents[end:]
    assert problem(many).startswith("a JPEG file of more scans than the 100")


def check_that_it_is_decoded_or_refused(contents):
    try:
        height, width, channels = decode(contents).shape
        assert 0 < height * width <= MAX_PIXELS and channels == 3
    except tf.errors.InvalidArgumentError as error:
        assert "[image_bytes[3]: " in error.message


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"RIFF"]))
def test_any_bytes_are_decoded_or_refused(contents, magic):
    check_that_it_is_decoded_or_refused(magic + contents)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(sorted(FILES)),
    st.lists(st.tuples(st.floats(0, 1) | st.floats(0, 0.1), st.integers(0, 255)), max_size=4),
    st.floats(0, 1) | st.just(1.0),
)
def test_damaged_files_are_decoded_or_refused(name, changes, length):
    contents = bytearray(FILES[name])
    for position, value in changes:
        contents[int(position * (len(contents) - 1))] = value
    check_that_it_is_decoded_or_refused(bytes(contents[: round(length * len(contents))]))
