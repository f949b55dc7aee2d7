"""Image files that are decoded within a graph."""

import numpy as np
import tensorflow as tf

from fcis_tf.data import decode_image
from tests.export.image_files import animation, picture


def test_of_a_gif_nothing_behind_the_first_frame_is_read(tmp_path):
    path = tmp_path / "animation.gif"
    path.write_bytes(animation(picture()))
    expected = tf.function(decode_image)(tf.constant(str(path)))
    assert expected.shape == picture().shape
    # The descriptor of a frame of 65535 x 65535 pixels, which are not there.
    path.write_bytes(animation(picture())[:-1] + b",\0\0\0\0" + 4 * b"\xff" + b"\0\2")
    np.testing.assert_array_equal(tf.function(decode_image)(tf.constant(str(path))), expected)
