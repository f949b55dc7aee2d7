"""Batches of concurrent requests' images."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from fcis_tf.export import ServingOptions, export_savedmodel
from fcis_tf.export.canvas_batches import CanvasBatches
from tests.export.confident_model import confident_model
from tests.export.image_files import encode, picture
from tests.tiny_config import tiny_config

IMAGES = [picture(64, 96), picture(96, 64), picture(64, 96)[::-1], picture(50, 96), picture(96, 96)]


@pytest.fixture(scope="module")
def signature(tmp_path_factory):
    config = tiny_config(inference={"score_threshold": 0.2, "max_detections": 10})
    out = tmp_path_factory.mktemp("export") / "1"
    export_savedmodel(confident_model(config, 3, IMAGES[0]), ServingOptions(mask_size=14, max_batch_size=4), out)
    model = tf.saved_model.load(str(out))
    yield lambda *files: model.signatures["serving_default"](tf.constant(files, tf.string))


def in_threads(function, arguments):
    """Calls a function with each of the arguments, at the same time; returns results and exceptions."""
    results = [None] * len(arguments)
    barrier = threading.Barrier(len(arguments))

    def call(index):
        barrier.wait()
        try:
            results[index] = function(arguments[index])
        except tf.errors.OpError as error:
            results[index] = error

    threads = [threading.Thread(target=call, args=[index]) for index in range(len(arguments))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def check_close(found, expected):
    for name, values in expected.items():
        if values.dtype == tf.string:
            np.testing.assert_array_equal(found[name], values)
        else:
            np.testing.assert_allclose(found[name], values, atol=1e-4 if name != "detection_masks" else 0.5)


def test_concurrent_requests_get_what_they_get_alone_and_errors_stay_with_theirs(signature):
    files = [encode(image, "PNG") for image in IMAGES]
    alone = {file: signature(file) for file in files}
    # In the middle ones a good image may be on its way in a batch when the request fails.
    requests = [[file] for file in files] + 2 * [[files[0], b"text"]] + [[file] for file in files]
    for _ in range(3):
        for request, answer in zip(requests, in_threads(lambda request: signature(*request), requests), strict=True):
            if len(request) == 2:
                assert "image_bytes[1]: not an image" in answer.message
            else:
                check_close(answer, alone[request[0]])


def test_one_request_of_several_files_gets_what_they_get_alone(signature):
    files = [encode(image, "PNG") for image in IMAGES]
    together = signature(*files)
    for index, file in enumerate(files):
        check_close({name: values[index : index + 1] for name, values in together.items()}, signature(file))


def test_images_of_one_orientation_meet_on_one_canvas():
    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([None, 2], tf.int32)])
    def find(images, sizes):
        shape = tf.tile(tf.shape(images)[None], [tf.shape(images)[0], 1])
        return {"shape": shape, "size": sizes, "sum": tf.reduce_sum(images, axis=[1, 2, 3])}

    batches = CanvasBatches(find, tiny_config(data={"short_side": 60, "long_side": 97}).data, 3, "test")

    @tf.function(input_signature=[tf.TensorSpec([1, None, None, 3])])
    def call(image):
        return batches(image, tf.shape(image)[None, 1:3])

    sizes = [(60, 97), (60, 80), (10, 97), (97, 60)]
    images = [tf.ones([1, *size, 3]) for size in sizes]
    # On a busy machine one may come too late for the others' batch.
    for _ in range(100):
        answers = in_threads(call, images)
        for size, answer in zip(sizes, answers, strict=True):
            assert answer["size"].numpy().tolist() == [list(size)] and answer["sum"] == 3 * size[0] * size[1]
        shapes = [answer["shape"].numpy().tolist() for answer in answers]
        assert shapes[3] == [[1, 112, 64, 3]]
        # The three that lie fill a batch.
        if shapes[:3] == 3 * [[[3, 64, 112, 3]]]:
            return
    pytest.fail(f"never met in a batch: {shapes}")
