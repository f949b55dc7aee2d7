"""What is said of images that training has to do without."""

import logging
from types import SimpleNamespace

import tensorflow as tf

from fcis_tf.data.image_file import decode_image
from fcis_tf.training.skipped_images import SkippedImages


def test_each_image_is_named_once_and_all_are_counted(tmp_path, caplog):
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(b"no image")

    def example(index):
        return {"image": decode_image(tf.strings.join([f"{tmp_path}/", tf.strings.as_string(index), ".png"]))}

    skipped = SkippedImages(SimpleNamespace(name="data.train", example=example))
    assert skipped.summary() is None
    with caplog.at_level(logging.WARNING):
        for indices in ([-1, 2], [2, -1], [0, 2], [0, 0], [-1, -1]):
            skipped.report(indices)
    problem = "not an image that can be read; expected JPEG, PNG, GIF, BMP or WebP"
    assert caplog.messages == [f"data.train: skipped {tmp_path / f'{i}.png'}: {problem}" for i in (2, 0)]
    assert skipped.summary() == "data.train: skipped images that cannot be read (2)"
