"""Writing one TFRecord file in the layout of TensorFlow's Model Garden."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from fcis_tf.data.ground_truth import make_coco
from fcis_tf.data.image_file import decode_contents, describe_data_error
from fcis_tf.data.problems import Problems
from fcis_tf.data.tfrecord.record_index import make_index, save_index
from fcis_tf.data.tfrecord.record_layout import make_example
from fcis_tf.data.tfrecord.shards import PARTIAL_SUFFIX
from fcis_tf.errors import UserError

# A kind of `Problems`.
UNREADABLE_IMAGES = "images that cannot be read"

_FORMATS = {b"\xff\xd8\xff": "jpg", b"\x89PNG": "png", b"BM": "bmp", b"RIFF": "webp"}


class Shard(NamedTuple):
    """What is to be written into one file.

    Attributes:
        path: pathlib.Path of the file.
        images: list of dicts with id, height, width and maybe file_name.
        files: ImageFiles or RenderedImages, as many.
        annotations: list of pycocotools annotations of these images.
        categories: list of dicts with id and name, of all classes.
        origin: what messages call the data set.
        strict: whether an image that cannot be read is an error.
    """

    path: Path
    images: list
    files: object
    annotations: list
    categories: list
    origin: str
    strict: bool


class ImageFiles(NamedTuple):
    """Images that are files on the disk, by their paths."""

    names: list

    def read(self):
        """Yields the bytes of each; none of one that cannot be read."""
        for name in self.names:
            try:
                yield Path(name).read_bytes()
            except OSError:
                yield b""


class RenderedImages(NamedTuple):
    """Images of a source without files, by their numbers in it."""

    source: object
    indices: list

    @property
    def names(self):
        return [f"{index:08d}.png" for index in self.indices]

    def read(self):
        """Yields the bytes of each as PNG."""
        for example in tf.data.Dataset.from_tensor_slices(np.int64(self.indices)).map(self.source.example):
            yield _encode_png(example["image"])


def write_shard(shard, advance):
    """Writes a file and its index; under its name it is there only when both are complete.

    An image's bytes are its file's own, so long as a plain decoder makes the same pixels of them as this project does:
    where it would not, as with an EXIF orientation, a GIF or WebP with transparency, the image is stored as PNG.

    Args:
        shard: Shard.
        advance: function without arguments, called after each image.

    Returns:
        List of strings: which images are left out because they cannot be read, and why.

    Raises:
        UserError: the file cannot be written; or an image cannot be read and the shard says to be strict.
    """
    left_out = []
    partial = shard.path.with_name(shard.path.name + PARTIAL_SUFFIX)
    try:
        with tf.io.TFRecordWriter(str(partial)) as writer:
            for example in _make_examples(shard, left_out):
                if example is not None:
                    writer.write(example.SerializeToString())
                advance()
        save_index(make_index(partial), shard.path, partial.stat())
        os.replace(partial, shard.path)
    except OSError as error:
        raise UserError(f"{shard.path}: cannot write this file: {error.strerror}") from None
    except tf.errors.OpError as error:
        raise UserError(f"{shard.path}: cannot write this file: {error.message}") from None
    finally:
        partial.unlink(missing_ok=True)
    return left_out


def _make_examples(shard, left_out):
    """Yields a tf.train.Example for each image, None for one that cannot be read, which is added to `left_out`."""
    problems = Problems(shard.origin, shard.strict)
    ground_truth = make_coco(shard.images, shard.annotations, shard.categories)
    names = {category["id"]: category["name"] for category in shard.categories}
    for image, name, contents in zip(shard.images, shard.files.names, shard.files.read(), strict=True):
        try:
            encoded = _plain_encoding(contents, name, [image["height"], image["width"]])
        except tf.errors.InvalidArgumentError as error:
            left_out.append(describe_data_error(error))
            problems.report(UNREADABLE_IMAGES, left_out[-1])
            yield None
        else:
            annotations = ground_truth.imgToAnns[image["id"]]
            masks = map(ground_truth.annToMask, annotations)
            image = {"file_name": Path(name).name} | image
            yield make_example(image, encoded, _format_of(encoded), annotations, masks, names)


def _plain_encoding(contents, name, size):
    """Returns the bytes to store for an image, of which every decoder makes the same pixels."""
    pixels = _decode(contents, name, size)
    # Decoding all frames of an animation could fill the memory.
    is_plain = not contents.startswith(b"GIF8") and _decodes_plainly_to(contents, pixels)
    return contents if is_plain else _encode_png(pixels)


@tf.function(input_signature=[tf.TensorSpec([], tf.string)] * 2 + [tf.TensorSpec([2], tf.int32)])
def _decode(contents, name, size):
    return decode_contents(contents, name, size)


def _decodes_plainly_to(contents, pixels):
    """Returns whether Model Garden's decoder, which knows no EXIF data, makes these pixels of a file."""
    try:
        return np.array_equal(tf.io.decode_image(contents, channels=3), pixels)
    except tf.errors.InvalidArgumentError:
        return False


def _encode_png(pixels):
    return tf.io.encode_png(pixels).numpy()


def _format_of(encoded):
    return next(name for start, name in _FORMATS.items() if encoded.startswith(start))
