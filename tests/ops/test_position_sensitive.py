"""The position-sensitive operators against MXNet's outputs, against loops over the definition, and by hand."""

import decimal
import functools
import types
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fcis_tf.ops import native, ps_assemble, ps_roi_pool
from tests.ops import slow_position_sensitive as slow

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"
MODES = ("eager", "graph")


@pytest.fixture(scope="module", params=["portable", "native"])
def ops(request):
    """The operators in both implementations."""
    if request.param == "native" and native.reason_for_absence():
        pytest.skip(native.reason_for_absence())
    return types.SimpleNamespace(
        ps_roi_pool=functools.partial(ps_roi_pool, implementation=request.param),
        ps_assemble=functools.partial(ps_assemble, implementation=request.param),
    )


def sizes_of(case):
    return {name: int(case[name]) for name in ("group_size", "pooled_size", "stride")}


def load_case(name):
    path = REFERENCE / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return np.load(path)


def in_mode(function, mode):
    # In a graph Grappler rewrites arithmetic; the edges of bins must not notice.
    return tf.function(function) if mode == "graph" else function


def pool_with_gradient(ops, features, boxes, box_indices, output_gradient, mode="eager", **sizes):
    def run(features, boxes, box_indices, output_gradient):
        with tf.GradientTape() as tape:
            tape.watch(features)
            output = ops.ps_roi_pool(features, boxes, box_indices, **sizes)
        return output, tape.gradient(output, features, output_gradient)

    return in_mode(run, mode)(*map(tf.constant, (features, boxes, box_indices, output_gradient)))


def assemble_with_gradient(ops, score_maps, boxes, box_indices, labels, gradients, mode="eager", **sizes):
    def run(score_maps, boxes, box_indices, labels, *gradients):
        with tf.GradientTape() as tape:
            tape.watch(score_maps)
            outputs = ops.ps_assemble(score_maps, boxes, box_indices, labels, **sizes)
        return *outputs, tape.gradient(outputs, score_maps, gradients)

    return in_mode(run, mode)(*map(tf.constant, (score_maps, boxes, box_indices, labels, *gradients)))


# Golden vectors of MXNet 1.9.1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("k", [1, 3, 7])
def test_pooling_equals_mxnet(ops, k, mode):
    case = load_case(f"ps_roi_pool_k{k}")
    inputs = [case[name] for name in ("features", "boxes", "box_indices", "output_grad")]
    output, gradient = pool_with_gradient(ops, *inputs, mode=mode, **sizes_of(case))
    np.testing.assert_allclose(output, case["output"], atol=1e-5)
    np.testing.assert_allclose(gradient, case["features_grad"], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("k", [1, 3, 7])
def test_assembly_equals_mxnet(ops, k, mode):
    case = load_case(f"ps_assemble_k{k}")
    inputs = [case[name] for name in ("score_maps", "boxes", "box_indices", "labels")]
    gradients = case["class_logits_grad"], case["mask_logits_grad"]
    class_logits, mask_logits, gradient = assemble_with_gradient(ops, *inputs, gradients, mode=mode, **sizes_of(case))
    np.testing.assert_allclose(class_logits, case["class_logits"], atol=1e-5)
    np.testing.assert_allclose(mask_logits, case["mask_logits"], atol=1e-5)
    np.testing.assert_allclose(gradient, case["score_maps_grad"], rtol=1e-5, atol=2e-5)


# The definition, as loops

GROUPS = st.sampled_from([(1, 1), (1, 4), (2, 2), (2, 6), (3, 9), (7, 7)])


@st.composite
def cases(draw):
    """Random maps and boxes of all kinds: within the map, over its border, beyond it, tiny, empty and inverted."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    images, height, width = draw(st.integers(1, 2)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    group_size, pooled_size = draw(GROUPS)
    stride = draw(st.sampled_from([1, 4, 7, 16]))
    depth = 2 * draw(st.integers(2, 3))
    count = draw(st.integers(0, 6))
    features = rng.normal(size=(images, height, width, group_size**2 * depth)).astype(np.float32)
    extent = stride * np.array([height, width, height, width])
    boxes = rng.uniform(-0.5, 1.5, (count, 4)) * extent
    if draw(st.booleans()):
        boxes[:, 2:] = boxes[:, :2] + rng.uniform(-1, 4, (count, 2))
    boxes = np.round(boxes * 2) / 2 if draw(st.booleans()) else boxes
    sizes = {"group_size": group_size, "pooled_size": pooled_size, "stride": stride}
    return features, boxes.astype(np.float32), rng.integers(images, size=count).astype(np.int32), sizes, rng


@settings(max_examples=60, deadline=None)
@given(cases())
def test_pooling_equals_its_definition(ops, case):
    features, boxes, box_indices, sizes, rng = case
    expected = slow.ps_roi_pool(features, boxes, box_indices, **sizes)
    output_gradient = rng.normal(size=expected.shape).astype(np.float32)
    output, gradient = pool_with_gradient(ops, features, boxes, box_indices, output_gradient, **sizes)
    assert output.shape == expected.shape
    np.testing.assert_allclose(output, expected, atol=1e-5)
    expected = slow.ps_roi_pool_gradient(features, boxes, box_indices, output_gradient, **sizes)
    np.testing.assert_allclose(gradient, expected, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(cases(), st.booleans())
def test_assembly_equals_its_definition(ops, case, with_labels):
    score_maps, boxes, box_indices, sizes, rng = case
    classes = score_maps.shape[-1] // sizes["group_size"] ** 2 // 2
    labels = rng.integers(classes, size=len(boxes)).astype(np.int32) if with_labels else None
    outputs = ops.ps_assemble(score_maps, boxes, box_indices, labels, **sizes)
    if len(boxes):
        for output, expected in zip(
            outputs, slow.ps_assemble(score_maps, boxes, box_indices, labels, **sizes), strict=True
        ):
            np.testing.assert_allclose(output, expected, atol=1e-5)
    else:
        assert outputs[0].shape == (0, classes)
        assert outputs[1].shape == (0, sizes["pooled_size"], sizes["pooled_size"], 2)


# The edges of bins


@pytest.mark.parametrize("mode", MODES)
def test_edges_that_are_exact_multiples_stay_where_they_are(ops, mode):
    # With P = 21 and these sides, bins end exactly on cells; an error of one unit in the last place moves them.
    pairs = [(low, low + side) for low in range(-21, 64, 3) for side in (1, 7, 16, 21, 42, 63, 105, 112, 168, 336)]
    boxes = np.float32([(low, low, high, high) for low, high in pairs])
    features = np.arange(24, dtype=np.float32)[None, :, None, None] * np.ones([1, 1, 24, 1], np.float32)
    for stride in (3, 10, 16):
        # The stride is a constant of the graph, which tempts Grappler to multiply by its reciprocal.
        sizes = {"group_size": 1, "pooled_size": 21, "stride": stride}
        pool = in_mode(lambda boxes, sizes=sizes: ops.ps_roi_pool(features, boxes, [0] * len(pairs), **sizes), mode)
        expected = slow.ps_roi_pool(features, boxes, [0] * len(pairs), **sizes)
        np.testing.assert_allclose(pool(tf.constant(boxes)), expected, atol=1e-5)


@pytest.mark.parametrize(
    "low, high, first_row, last_row",
    [
        (0.49999997, 2.0, 0, 1),  # the float below a half rounds to 0, though adding 0.5 to it gives 1
        (0.5, 2.0, 1, 1),
        (-0.5, 2.0, 0, 1),  # to -1: the first of three bins lies outside the map
        (1.4, 2.5, 1, 2),  # halves away from zero, not to even
        (1.5, 3.49, 2, 2),
        (1.0, 8388609.0, 1, 3),
    ],
)
def test_edges_are_rounded_half_away_from_zero(ops, low, high, first_row, last_row):
    features = 2.0 ** np.arange(4, dtype=np.float32)[None, :, None, None]
    output = ops.ps_roi_pool(features, [[low, 0, high, 1]], [0], group_size=1, pooled_size=1, stride=1)
    expected = np.mean(2.0 ** np.arange(first_row, last_row + 1))
    np.testing.assert_allclose(output[0, 0, 0, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("x", [0.49999997, -0.49999997, 0.5, -0.5, 1.5, 2.5, -2.5, 3.4999998, 8388607.5, 0.0])
def test_the_definition_used_here_rounds_like_decimal_arithmetic(x):
    expected = decimal.Decimal(float(np.float32(x))).quantize(decimal.Decimal(1), decimal.ROUND_HALF_UP)
    assert slow.round_half_away(np.float32(x)) == float(expected)


# Small cases by hand


def test_every_bin_reads_the_channels_of_its_grid_cell(ops):
    # Channel c holds c everywhere: the output spells the layout of channels out.
    features = np.tile(np.arange(3 * 3 * 2, dtype=np.float32), [1, 8, 8, 1])
    output = ops.ps_roi_pool(features, [[0, 0, 128, 128]], [0], group_size=3, pooled_size=6, stride=16)
    grid = np.arange(6) * 3 // 6
    expected = ((grid[:, None] * 3 + grid) * 2)[..., None] + np.arange(2)
    np.testing.assert_array_equal(output[0], expected)


def test_a_bin_is_the_mean_of_the_cells_it_touches(ops):
    features = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    # 40 pixels are 2.5 cells: two bins of 1.25 cells touch rows 0 to 1 and 1 to 2.
    output = ops.ps_roi_pool(features, [[0, 0, 40, 40]], [0], group_size=1, pooled_size=2, stride=16)
    np.testing.assert_array_equal(output[0, ..., 0], [[2.5, 3.5], [6.5, 7.5]])


def test_score_maps_give_classes_and_masks(ops):
    # One cell, classes 0 to 2 with (outside, inside) pairs.
    score_maps = np.float32([[[[1, 0, -3, 2, 4, 3]]]])
    arguments = score_maps, [[0, 0, 16, 16]], [0]
    sizes = {"group_size": 1, "pooled_size": 1, "stride": 16}
    class_logits, mask_logits = ops.ps_assemble(*arguments, [1], **sizes)
    np.testing.assert_array_equal(class_logits, [[1, 2, 4]])
    np.testing.assert_array_equal(mask_logits, [[[[-3, 2]]]])
    _, mask_logits = ops.ps_assemble(*arguments, **sizes)
    np.testing.assert_array_equal(mask_logits, [[[[4, 3]]]])


def test_without_labels_the_background_never_gives_the_mask(ops):
    score_maps = np.float32([[[[9, 9, 1, 2, 0, 1]]]])
    _, mask_logits = ops.ps_assemble(score_maps, [[0, 0, 16, 16]], [0], group_size=1, pooled_size=1, stride=16)
    np.testing.assert_array_equal(mask_logits, [[[[1, 2]]]])


def test_boxes_read_their_own_image(ops):
    features = np.float32([1, 2, 3])[:, None, None, None]
    output = ops.ps_roi_pool(features, [[0, 0, 1, 1]] * 3, [2, 0, 1], group_size=1, pooled_size=1, stride=1)
    np.testing.assert_array_equal(output[:, 0, 0, 0], [3, 1, 2])


@pytest.mark.parametrize("mode", MODES)
def test_no_boxes(ops, mode):
    score_maps, boxes, indices = np.ones([1, 2, 3, 24], np.float32), np.zeros([0, 4], np.float32), np.zeros(0, np.int32)
    gradients = np.zeros([0, 3], np.float32), np.zeros([0, 4, 4, 2], np.float32)
    sizes = {"group_size": 2, "pooled_size": 4, "stride": 16}
    class_logits, mask_logits, gradient = assemble_with_gradient(
        ops, score_maps, boxes, indices, indices, gradients, mode=mode, **sizes
    )
    assert class_logits.shape == (0, 3) and mask_logits.shape == (0, 4, 4, 2)
    np.testing.assert_array_equal(gradient, np.zeros_like(score_maps))


@pytest.mark.parametrize(
    "box",
    [(-90, -90, -50, -50), (200, 0, 300, 32), (0, 200, 32, 300), (0, -9e8, 32, -8e8), (3e38, 3e38, 3e38, 3e38)],
)
def test_boxes_outside_the_map_are_zero_and_pass_no_gradient(ops, box):
    features = np.ones([1, 2, 3, 4], np.float32)
    output_gradient = np.ones([1, 2, 2, 1], np.float32)
    output, gradient = pool_with_gradient(
        ops, features, np.float32([box]), [0], output_gradient, group_size=2, pooled_size=2, stride=16
    )
    assert not output.numpy().any() and not gradient.numpy().any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("edges", [(0,), (1,), (2,), (3,), (0, 2), (1, 3), (0, 1, 2, 3)])
def test_boxes_with_an_edge_that_is_no_number_are_zero_and_pass_no_gradient(ops, value, edges):
    features, box = np.ones([1, 2, 3, 4], np.float32), np.float32([0, 0, 32, 48])
    box[list(edges)] = value
    output, gradient = pool_with_gradient(
        ops, features, box[None], [0], np.ones([1, 2, 2, 1], np.float32), group_size=2, pooled_size=2, stride=16
    )
    assert not output.numpy().any() and not gradient.numpy().any()


@pytest.mark.parametrize("box", [(17, 33, 17, 33), (17.2, 33.2, 17.4, 33.4), (20, 36, 18, 34)])
def test_tiny_empty_and_inverted_boxes_read_the_cell_they_lie_in(ops, box):
    features = np.arange(6, dtype=np.float32).reshape(1, 2, 3, 1)
    output = ops.ps_roi_pool(features, [box], [0], group_size=1, pooled_size=3, stride=16)
    np.testing.assert_array_equal(output, np.full([1, 3, 3, 1], 5))


@pytest.mark.parametrize("classes", [3, 9])
@pytest.mark.parametrize("side", [0, 1])
def test_a_score_that_is_no_number_is_not_hidden(ops, classes, side):
    score_maps = np.full([1, 1, 1, 2 * classes], 0.5, np.float32)
    score_maps[..., 2 + side] = np.nan
    sizes = {"group_size": 1, "pooled_size": 1, "stride": 16}
    gradients = np.ones([1, classes], np.float32), np.zeros([1, 1, 1, 2], np.float32)
    class_logits, _, gradient = assemble_with_gradient(
        ops, score_maps, np.float32([[0, 0, 16, 16]]), [0], [1], gradients, **sizes
    )
    np.testing.assert_array_equal(np.isnan(class_logits[0]), np.arange(classes) == 1)
    np.testing.assert_array_equal(gradient[0, 0, 0, 2:4], [0, 1])


# Types


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_small_types_are_summed_in_float32(ops, dtype):
    rng = np.random.default_rng(0)
    score_maps = tf.cast(rng.normal(size=(1, 40, 40, 2 * 2 * 3 * 2)), dtype)
    arguments = [[0, 0, 640, 640], [3, 5, 300, 400]], [0, 0], [2, 1]
    sizes = {"group_size": 2, "pooled_size": 2, "stride": 16}
    with tf.GradientTape() as tape:
        tape.watch(score_maps)
        outputs = ops.ps_assemble(score_maps, *arguments, **sizes)
    assert [output.dtype for output in outputs] == [dtype, dtype]
    assert tape.gradient(outputs, score_maps).dtype == dtype
    exact_outputs = ops.ps_assemble(tf.cast(score_maps, tf.float32), *arguments, **sizes)
    for output, exact in zip(outputs, exact_outputs, strict=True):
        np.testing.assert_array_equal(output, tf.cast(exact, dtype))

    # 10000 summands of 1: float16 would stop counting at 2048, bfloat16 at 256.
    ones = tf.ones([1, 100, 100, 1], dtype)
    pooled = ops.ps_roi_pool(ones, [[0, 0, 100, 100]], [0], group_size=1, pooled_size=1, stride=1)
    assert pooled.dtype == dtype and float(pooled[0, 0, 0, 0]) == 1.0


# Gradients by finite differences


def test_gradients_agree_with_finite_differences(ops):
    rng = np.random.default_rng(1)
    score_maps = rng.normal(size=(1, 2, 3, 2 * 2 * 2 * 2)).astype(np.float32)
    weights = rng.normal(size=(3, 2)).astype(np.float32), rng.normal(size=(3, 4, 4, 2)).astype(np.float32)
    boxes = [[0, 0, 30, 40], [-8, 10, 20, 50], [30, 30, 31, 31]]

    def weighted_sum(score_maps):
        outputs = ops.ps_assemble(score_maps, boxes, [0, 0, 0], [1, 0, 1], group_size=2, pooled_size=4, stride=16)
        return tf.add_n([tf.reduce_sum(x * w) for x, w in zip(outputs, weights, strict=True)])

    (analytic,), (numeric,) = tf.test.compute_gradient(weighted_sum, [tf.constant(score_maps)], delta=1e-2)
    assert np.abs(analytic).max() > 0.5
    # A step can cross the kink of max(inside, outside).
    np.testing.assert_allclose(analytic, numeric, atol=5e-3)


# What cannot be


@pytest.mark.parametrize("index", [2**32, -(2**40), 2**31])
def test_large_indices_do_not_wrap_around(index):
    arguments = np.ones([1, 2, 2, 6], np.float32), [[0, 0, 16, 16]]
    sizes = {"group_size": 1, "pooled_size": 1, "stride": 16}
    for indices, labels in (([index], [0]), ([0], [index])):
        with pytest.raises(tf.errors.InvalidArgumentError, match="is not in"):
            ps_assemble(*arguments, tf.constant(indices, tf.int64), tf.constant(labels, tf.int64), **sizes)


@pytest.mark.parametrize("name", ["box_indices", "labels"])
def test_indices_that_are_no_integers(name):
    indices = {"box_indices": [0], "labels": [0]} | {name: [1.9]}
    with pytest.raises(ValueError, match=f"{name}: expected integers, found float32"):
        ps_assemble(np.ones([1, 2, 2, 6]).astype("f"), [[0, 0, 1, 1]], **indices, group_size=1, pooled_size=1, stride=1)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"implementation": "fast"}, "implementation"),
        ({"pooled_size": 5}, "multiple of group_size"),
        ({"pooled_size": 0}, "multiple of group_size"),
        ({"group_size": 0}, "multiple of group_size"),
        ({"group_size": 3, "pooled_size": 3}, "channels"),
        ({"features": np.zeros([2, 2, 16], np.float32)}, "rank"),
        ({"boxes": np.zeros([1, 3], np.float32)}, "compatible"),
        ({"boxes": np.zeros([4], np.float32)}, "compatible"),
        ({"box_indices": [[0]]}, "compatible"),
    ],
)
@pytest.mark.parametrize("operator", [ps_roi_pool, ps_assemble])
def test_impossible_arguments(operator, changes, message):
    arguments = {"features": np.zeros([1, 2, 2, 16], np.float32), "boxes": [[0, 0, 1, 1]], "box_indices": [0]}
    sizes = {"group_size": 2, "pooled_size": 4, "stride": 16}
    arguments = arguments | sizes | changes
    positional = [arguments.pop(name) for name in ("features", "boxes", "box_indices")]
    with pytest.raises(ValueError, match=message):
        operator(*positional, **arguments)
