"""Reading image files within a TensorFlow graph, with errors that name the file."""

import codecs
import re

import tensorflow as tf

from fcis_tf.data.exif_orientation import read_orientation, turn_upright, upright_size
from fcis_tf.data.first_frame import first_frame

UNREADABLE = "not an image that can be read; expected JPEG, PNG, GIF, BMP or WebP"

# Marks our own messages within the text that TensorFlow wraps around them.
_MARK = "image file "


def decode_image(path, size=None):
    """Reads and decodes an image file, as `decode_contents` does.

    Args:
        path: string scalar.
        size: [2] int32 (height, width) that the image's annotations give, if it has any.

    Returns:
        [H, W, 3] uint8 RGB.

    Raises:
        tf.errors.InvalidArgumentError: the file cannot be read or decoded, or is of another size; see
            `describe_data_error`.
    """
    return decode_contents(first_success([tf.io.read_file], path, ""), path, size)


def decode_contents(contents, name, size=None):
    """Decodes a JPEG, PNG, GIF, BMP or WebP file, and turns the image upright as the file's EXIF data say.

    Grey images get three equal channels, CMYK is converted, 16 bits are cut to the upper 8, alpha is dropped
    (the colours stay as stored), and of an animation the first frame is taken. BMP files with a palette are read as
    grey.

    Tools for annotating show images upright, so annotations are taken to be of the upright image. Only if their size
    fits nothing but the image as it is stored, they are of that, and it is left as it is.

    Args:
        contents: string scalar, the bytes of the file.
        name: string scalar, the name of the file, for messages.
        size: [2] int32 (height, width) that the image's annotations give, if it has any.

    Returns:
        [H, W, 3] uint8 RGB.

    Raises:
        tf.errors.InvalidArgumentError: the file cannot be decoded, or is of another size; see `describe_data_error`.
    """
    # TensorFlow's decoding errors don't say which file they are about.
    image = first_success([_decode_rgb, _decode_rgba], contents, tf.zeros([0, 0, 3], tf.uint8))
    image = check_image(image, tf.size(image) > 0, name, UNREADABLE)
    orientation = read_orientation(contents)
    if size is not None:
        image, orientation = _fit_annotations(image, orientation, size, name)
    return tf.ensure_shape(turn_upright(image, orientation), [None, None, 3])


def first_success(functions, argument, default):
    """Calls functions until one raises no error; graphs have no try.

    Args:
        functions: of one tensor, traced as functions of tf.data; each returns one tensor.
        argument: the tensor to call them with.
        default: a tensor.

    Returns:
        The first result, or the default where all functions raise errors.
    """
    # A dataset that ignores errors has no element where there was one.
    arguments = tf.data.Dataset.from_tensors(argument)
    results = tf.data.Dataset.from_tensors(default)
    for function in reversed(functions):
        results = arguments.map(function).ignore_errors(log_warning=False).concatenate(results)
    return results.take(1).with_options(plain_options()).get_single_element()


def check_image(image, condition, path, problem):
    """Passes an image on if a condition holds.

    Args:
        image: a tensor.
        condition: bool scalar.
        path: string scalar, the image's file.
        problem: string or string scalar, what is wrong with the file when the condition doesn't hold.

    Returns:
        The image.

    Raises:
        tf.errors.InvalidArgumentError: the condition doesn't hold; see `describe_data_error`.
    """
    message = tf.strings.join([_MARK, path, ": ", problem])
    with tf.control_dependencies([tf.debugging.Assert(condition, [message])]):
        return tf.identity(image)


def describe_data_error(error):
    """Turns an error from iterating batches into one line which names the image file.

    Args:
        error: a tf.errors.OpError.

    Returns:
        "PATH: what is wrong", or None for an error that isn't about an image file.
    """
    found = re.search(rf"\[{_MARK}(.*)\]", error.message)
    # TensorFlow prints strings escaped as in C.
    return found and codecs.escape_decode(found[1].encode())[0].decode(errors="replace")


def _fit_annotations(image, orientation, size, name):
    """Returns the image and its orientation, or 1 where the size of the annotations fits only the image as stored."""
    stored = tf.shape(image)[:2]
    upright = upright_size(stored, orientation)
    fits_upright, fits_stored = (tf.reduce_all(size == found) for found in (upright, stored))
    found, expected = _width_x_height(upright), _width_x_height(size)
    problem = tf.strings.join(["is ", found, " pixels, but the annotations say ", expected])
    return check_image(image, fits_upright | fits_stored, name, problem), tf.where(fits_upright, orientation, 1)


def _width_x_height(size):
    return tf.strings.reduce_join(tf.strings.as_string(tf.reverse(size, [0])), separator=" x ")


def _decode_rgb(contents):
    return tf.io.decode_image(_first_frame(contents), channels=3, expand_animations=False)


def _decode_rgba(contents):
    """Decodes WebP with transparency, which TensorFlow refuses to decode without."""
    return tf.io.decode_image(_first_frame(contents), channels=4, expand_animations=False)[..., :3]


def _first_frame(contents):
    """Returns the bytes of a file, of a GIF without what comes behind the first frame."""
    is_gif = tf.strings.substr(contents, 0, 4) == b"GIF8"
    return tf.cond(is_gif, lambda: first_frame(contents)[0], lambda: contents)


def plain_options():
    """Options that spare a dataset of one element the costs of being optimised."""
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    options.autotune.enabled = False
    return options
