"""Reading image files within a TensorFlow graph, with errors that name the file."""

import codecs
import re

import tensorflow as tf

from fcis_tf.data.first_frame import first_frame

UNREADABLE = "not an image that can be read; expected JPEG, PNG, GIF, BMP or WebP"

# Marks our own messages within the text that TensorFlow wraps around them.
_MARK = "image file "


def decode_image(path):
    """Reads and decodes a JPEG, PNG, GIF, BMP or WebP file.

    Grey images get three equal channels, CMYK is converted, 16 bits are cut to the upper 8, alpha is dropped
    (the colours stay as stored), and of an animation the first frame is taken. EXIF orientation is not applied:
    annotations refer to pixels as stored. BMP files with a palette are read as grey.

    Args:
        path: string scalar.

    Returns:
        [H, W, 3] uint8 RGB.

    Raises:
        tf.errors.InvalidArgumentError: the file cannot be read or decoded; see `describe_data_error`.
    """
    # TensorFlow's decoding errors don't say which file they are about.
    image = first_success([_decode_rgb, _decode_rgba], path, tf.zeros([0, 0, 3], tf.uint8))
    return check_image(image, tf.size(image) > 0, path, UNREADABLE)


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


def _decode_rgb(path):
    return tf.io.decode_image(_read(path), channels=3, expand_animations=False)


def _decode_rgba(path):
    """Decodes WebP with transparency, which TensorFlow refuses to decode without."""
    return tf.io.decode_image(_read(path), channels=4, expand_animations=False)[..., :3]


def _read(path):
    """Returns the bytes of a file, of a GIF without what comes behind the first frame."""
    contents = tf.io.read_file(path)
    is_gif = tf.strings.substr(contents, 0, 4) == b"GIF8"
    return tf.cond(is_gif, lambda: first_frame(contents)[0], lambda: contents)


def plain_options():
    """Options that spare a dataset of one element the costs of being optimised."""
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    options.autotune.enabled = False
    return options
