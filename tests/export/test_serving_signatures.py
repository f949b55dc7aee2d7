"""The exported graphs: what they take, what they give, and that it is what the Python functions give."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from fcis_tf.export import ServingOptions, export_savedmodel, serving_outputs, serving_signatures
from fcis_tf.inference import Predictor
from fcis_tf.ops.native import reason_for_absence
from tests.export.area_masks import area_masks
from tests.export.confident_model import confident_model
from tests.export.image_files import encode, picture
from tests.tiny_config import tiny_config

D, M = 10, 14
IMAGES = [picture(64, 96), picture(90, 70), picture(31, 200)]
SHAPES = {
    "detection_boxes": (D, 4),
    "detection_class_entities": (D,),
    "detection_classes": (D,),
    "detection_masks": (D, M, M),
    "detection_scores": (D,),
    "num_detections": (),
}


@pytest.fixture(scope="module")
def trained():
    config = tiny_config(inference={"score_threshold": 0.2, "max_detections": D})
    return confident_model(config, 3, IMAGES[0])


@pytest.fixture(scope="module")
def directory(trained, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "1"
    export_savedmodel(trained, ServingOptions(mask_size=M, max_pixels=10_000), out)
    return out


@pytest.fixture(scope="module")
def signatures(directory):
    return tf.saved_model.load(str(directory)).signatures


def ask(signatures, *files):
    return {name: value.numpy() for name, value in signatures["serving_default"](tf.constant(files, tf.string)).items()}


def ask_for_tensor(signatures, images):
    return {name: value.numpy() for name, value in signatures["serve_tensor"](images=tf.constant(images)).items()}


def check_same_answers(found, expected):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        if values.dtype == object:
            np.testing.assert_array_equal(found[name], values)
        else:
            # A pixel whose probability is the threshold may be counted or not.
            np.testing.assert_allclose(found[name], values, atol=1e-5 if "masks" not in name else 0.5)


def check_against_predictor(answer, index, instances, image):
    count = len(instances.scores)
    assert answer["num_detections"][index] == count > 0
    answer = {name: values[index, :count] for name, values in answer.items() if name != "num_detections"}
    np.testing.assert_allclose(answer["detection_boxes"] * (2 * image.shape[:2]), instances.boxes, atol=0.01)
    np.testing.assert_array_equal(answer["detection_classes"], instances.classes)
    np.testing.assert_allclose(answer["detection_scores"], instances.scores, atol=1e-4)
    expected = area_masks(instances.masks, instances.boxes, M)
    np.testing.assert_allclose(answer["detection_masks"], expected, atol=1e-5)
    assert [name.decode() for name in answer["detection_class_entities"]] == [f"class {i}" for i in instances.classes]


def test_the_shapes_and_types_of_the_answers(signatures):
    for outputs in (signatures[name].structured_outputs for name in ("serving_default", "serve_tensor")):
        assert {name: tuple(spec.shape[1:]) for name, spec in outputs.items()} == SHAPES
        assert {name for name, spec in outputs.items() if spec.dtype != tf.float32} == {"detection_class_entities"}


def test_files_of_several_sizes_give_what_the_predictor_finds(trained, signatures):
    answer = ask(signatures, *(encode(image, "PNG") for image in IMAGES))
    predictor = Predictor(trained.model, trained.config, freeze=True)
    for index, image in enumerate(IMAGES):
        check_against_predictor(answer, index, predictor.predict(image), image)


def test_instances_are_what_the_predictor_finds(trained, signatures):
    predictor = Predictor(trained.model, trained.config)
    for image in IMAGES:
        answer = signatures["serve_instances"](image_bytes=tf.constant(encode(image, "PNG")))
        expected = predictor.predict(image)._asdict()
        assert answer.keys() == expected.keys() and len(expected["scores"])
        for name, values in expected.items():
            np.testing.assert_allclose(answer[name], values, atol=1e-5)


def test_behind_the_detections_comes_padding(signatures):
    answer = ask(signatures, encode(IMAGES[0], "PNG"))
    count = int(answer.pop("num_detections")[0])
    assert 0 < count < D
    for values in answer.values():
        assert set(values[0, count:].ravel()) <= {0.0, b""}


def test_a_batch_of_pixels_gives_what_single_files_give(signatures):
    images = np.stack([IMAGES[0], IMAGES[0][::-1], IMAGES[0] // 2])
    together = ask_for_tensor(signatures, images)
    check_same_answers(together, ask(signatures, *(encode(image, "PNG") for image in images)))


def test_an_answer_does_not_depend_on_its_neighbours(signatures):
    files = [encode(image, "PNG") for image in IMAGES]
    together = ask(signatures, *files)
    for index, file in enumerate(files):
        for name, values in ask(signatures, file).items():
            np.testing.assert_array_equal(values[0], together[name][index])


def test_detections_with_empty_masks_are_left_out(trained):
    whole, half = np.ones([9, 9], np.float32), np.full([9, 9], 0.3, np.float32)
    detections = {
        "num_detections": tf.constant(3),
        "classes": tf.constant([2, 1, 3] + [0] * (D - 3)),
        "scores": tf.constant([0.9, 0.8, 0.7] + [0.0] * (D - 3)),
        "rois": tf.constant([[0.0, 0.0, 10.0, 20.0], [0.0, 0.0, 20.0, 10.0]]),
        "roi_masks": tf.stack([half, whole]),
        "votes": tf.one_hot([0, 1, 0] + [-1] * (D - 3), 2),
    }
    outputs = serving_outputs(detections, [40, 40], ["a", "b", "c"], M, trained.config.inference)
    assert outputs["num_detections"] == 1
    np.testing.assert_array_equal(outputs["detection_class_entities"], [b"a"] + [b""] * (D - 1))
    np.testing.assert_array_equal(outputs["detection_boxes"][:2], [[0, 0, 0.5, 0.25], [0, 0, 0, 0]])
    np.testing.assert_allclose(outputs["detection_masks"][0], 1, atol=1e-6)


@pytest.mark.parametrize(
    "files, message",
    [
        ([], "image_bytes: expected one image or more"),
        ([encode(IMAGES[0], "PNG"), b"text"], "image_bytes[1]: not an image"),
        ([encode(IMAGES[0], "PNG")[:200]], "image_bytes[0]: a damaged"),
        ([encode(picture(101, 100), "PNG")], "image_bytes[0]: an image of height 101 and width 100 pixels"),
    ],
)
def test_bad_files_are_errors_that_say_what_is_wrong(signatures, files, message):
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        ask(signatures, *files)
    assert message in error.value.message


@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (1, 0, 8, 3), (1, 8, 0, 3)])
def test_pixels_that_are_none_are_an_error(signatures, shape):
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        ask_for_tensor(signatures, np.zeros(shape, np.uint8))
    assert "images: expected one image or more, of one pixel or more" in error.value.message


@pytest.mark.skipif(reason_for_absence() is not None, reason="the native operators are not built")
def test_native_operators_give_the_same(trained, signatures):
    native = serving_signatures(trained, ServingOptions(mask_size=M, native_ops=True))
    files = [encode(image, "PNG") for image in IMAGES]
    check_same_answers(ask(native, *files), ask(signatures, *files))


def test_the_graph_has_stock_operators_only(directory):
    graph = saved_model_pb2.SavedModel.FromString((directory / "saved_model.pb").read_bytes()).meta_graphs[0].graph_def
    operators = {node.op for node in graph.node} | {node.op for f in graph.library.function for node in f.node_def}
    functions = {function.signature.name for function in graph.library.function}
    # Operators of other libraries never get there, loaded or not.
    assert not sorted(name for name in operators - functions if not hasattr(tf.raw_ops, name))
    assert len(operators) >= 50


def run_python(*arguments):
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=300)


def test_saved_model_cli_shows_and_runs_it(directory, tmp_path):
    cli = Path(sys.executable).with_name("saved_model_cli")
    shown = run_python(cli, "show", "--dir", directory, "--all").stdout
    assert "signature_def['serving_default']" in shown and "signature_def['serve_tensor']" in shown
    np.save(tmp_path / "images.npy", IMAGES[0][None])
    arguments = "--tag_set", "serve", "--signature_def", "serve_tensor", "--outdir", tmp_path
    run = run_python(cli, "run", "--dir", directory, *arguments, "--inputs", f"images={tmp_path / 'images.npy'}")
    assert run.returncode == 0, run.stderr
    assert np.load(tmp_path / "detection_masks.npy").shape == (1, D, M, M)
