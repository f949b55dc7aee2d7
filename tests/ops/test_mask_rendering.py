"""Rendering of masks, in both implementations, against loops over the definition and by hand."""

import functools
import types

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fcis_tf.ops import native, render_box_masks, render_masks
from tests.ops import slow_mask_rendering as slow

# One region's vote for one detection.
ALONE = tf.ones([1, 1])


@pytest.fixture(scope="module", params=["portable", "native"])
def ops(request):
    """The operators in both implementations."""
    if request.param == "native" and native.reason_for_absence():
        pytest.skip(native.reason_for_absence())
    return types.SimpleNamespace(
        render_masks=functools.partial(render_masks, implementation=request.param),
        render_box_masks=functools.partial(render_box_masks, implementation=request.param),
    )


# The definition, as loops


@st.composite
def cases(draw):
    """Regions and votes of all kinds, some of them nonsense: within the image, over its border, beyond it, inverted."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cells, regions, detections = draw(st.integers(1, 7)), draw(st.integers(0, 5)), draw(st.integers(0, 3))
    size = draw(st.tuples(st.integers(0, 14), st.integers(0, 20)))
    longest = draw(st.sampled_from([1.0, 5.0, 30.0]))
    low = rng.uniform(-6, 14, (regions, 2))
    rois = np.concatenate([low, low + rng.uniform(-0.2, 1, (regions, 2)) * longest], axis=1)
    masks = rng.uniform(size=(regions, cells, cells))
    votes = rng.uniform(size=(detections, regions)) * (rng.random((detections, regions)) < 0.6)
    votes /= np.maximum(votes.sum(axis=1, keepdims=True), 1e-9)
    if draw(st.booleans()):
        for array, specials in (
            (rois, [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e30, -1e9, 0.5]),
            (masks, [np.nan, np.inf, -np.inf]),
            (votes, [np.nan, np.inf, -np.inf, -1]),
        ):
            special = rng.random(array.shape) < 0.1
            array[special] = rng.choice(specials, special.sum())
    return *(array.astype(np.float32) for array in (masks, rois, votes)), size


@settings(max_examples=80, deadline=None)
@given(cases(), st.booleans())
def test_masks_and_boxes_equal_their_definition(ops, case, threshold_first):
    boxes, masks = ops.render_masks(*case, binary_threshold=0.4, threshold_first=threshold_first)
    expected, clear = slow.render_masks(*case, 0.4, threshold_first)
    assert masks.shape == expected.shape and masks.dtype == tf.bool
    np.testing.assert_array_equal(masks.numpy()[clear], expected[clear])
    assert boxes.shape == (len(expected), 4) and boxes.dtype == tf.float32
    for box, mask in zip(boxes.numpy(), masks.numpy(), strict=True):
        np.testing.assert_array_equal(box, slow.tight_box(mask))


@settings(max_examples=60, deadline=None)
@given(cases(), st.integers(1, 9), st.booleans())
def test_box_masks_are_the_masks_averaged_over_the_cells_of_a_grid(ops, case, size, threshold_first):
    thresholding = {"binary_threshold": 0.4, "threshold_first": threshold_first}
    boxes, masks = ops.render_masks(*case, **thresholding)
    found_boxes, box_masks = ops.render_box_masks(*case, size, **thresholding)
    np.testing.assert_array_equal(found_boxes, boxes)
    assert box_masks.shape == (len(boxes), size, size) and box_masks.dtype == tf.float32
    for box, mask, box_mask in zip(boxes.numpy().astype(int), masks.numpy(), box_masks.numpy(), strict=True):
        expected = slow.coverage(mask[box[0] : box[2], box[1] : box[3]], size) if mask.any() else np.zeros((size, size))
        np.testing.assert_allclose(box_mask, expected, atol=1e-6)


# Small cases by hand


@pytest.mark.parametrize(
    ("box", "pixels"),
    [
        ((2, 3, 3, 4), [(2, 3)]),
        ((2, 3, 4, 4), [(2, 3), (3, 3)]),
        ((-5, -5, 1, 1), [(0, 0)]),
        ((2, 3, 2, 4), []),
        ((2.6, 3.6, 3.4, 4.4), []),
        ((2.5, 3.5, 3.5, 4.5), [(2, 3)]),
        ((2.5, 3.5, np.nextafter(np.float32(2.5), 3), 4.5), [(2, 3)]),
        ((-9, -9, -2, -2), []),
        ((50, 50, 60, 60), []),
    ],
)
def test_covers_the_pixels_whose_centres_are_in_the_box(ops, box, pixels):
    boxes, masks = ops.render_masks(tf.ones([1, 3, 3]), np.float32([box]), ALONE, (6, 7), binary_threshold=0.5)
    assert list(zip(*np.nonzero(masks[0].numpy()), strict=True)) == pixels
    np.testing.assert_array_equal(boxes[0], slow.tight_box(masks[0].numpy()))


def test_a_probability_at_the_threshold_is_outside(ops):
    box = tf.constant([[0.0, 0.0, 2.0, 2.0]])
    for probability, expected in ((0.5, False), (0.51, True)):
        _, masks = ops.render_masks(tf.fill([1, 2, 2], probability), box, ALONE, (2, 2), binary_threshold=0.5)
        assert (masks.numpy() == expected).all()


@pytest.mark.parametrize("threshold", [-1.0, 0.0])
def test_outside_all_regions_there_is_nothing(ops, threshold):
    arguments = tf.ones([2, 2, 2]), [[1.0, 1, 2, 2], [3, 3, 5, 5]], [[0.5, 0.5], [0, 0]], (6, 6)
    boxes, masks = ops.render_masks(*arguments, binary_threshold=threshold)
    assert masks.numpy().sum(axis=(1, 2)).tolist() == [5, 0]
    np.testing.assert_array_equal(boxes, [[1, 1, 5, 5], [0, 0, 0, 0]])


def test_a_threshold_that_is_no_number_lets_nothing_pass(ops):
    arguments = tf.ones([1, 2, 2]), [[1.0, 1, 5, 5]], ALONE, (6, 6)
    for threshold_first in (False, True):
        thresholding = {"binary_threshold": np.nan, "threshold_first": threshold_first}
        assert not any(output.numpy().any() for output in ops.render_masks(*arguments, **thresholding))
        assert not any(output.numpy().any() for output in ops.render_box_masks(*arguments, 4, **thresholding))


@pytest.mark.parametrize("threshold_first", [False, True])
def test_a_detection_without_votes_has_an_empty_mask(ops, threshold_first):
    arguments = tf.ones([2, 3, 3]), [[0.0, 0, 4, 4]] * 2, tf.eye(3, 2), (4, 5)
    _, masks = ops.render_masks(*arguments, binary_threshold=0.5, threshold_first=threshold_first)
    assert [bool(mask.any()) for mask in masks.numpy()] == [True, True, False]


def test_an_instance_reaches_beyond_a_region_that_cuts_it_off(ops):
    rois = [[0.0, 0.0, 4.0, 3.0], [0.0, 0.0, 6.0, 3.0]]
    votes = [[0.5, 0.5], [1.0, 0.0]]
    boxes, masks = ops.render_masks(tf.ones([2, 3, 3]), rois, votes, (8, 3), binary_threshold=0.4)
    assert [mask[:, 0].sum() for mask in masks.numpy()] == [6, 4]
    np.testing.assert_array_equal(boxes, [[0, 0, 6, 3], [0, 0, 4, 3]])


def test_regions_larger_than_any_tile_of_the_loops(ops):
    # A disc in a region that spans several tiles of the native kernel, of which the last are cut off.
    y, x = np.mgrid[-1:1:31j, -1:1:31j]
    mask = np.float32(1 / (1 + np.exp(9 * (y**2 + x**2 - 0.7))))
    box = np.float32([[-7.3, 11.9, 170.2, 300.1]])
    for threshold_first in (False, True):
        _, masks = ops.render_masks(
            mask[None], box, ALONE, (151, 333), binary_threshold=0.4, threshold_first=threshold_first
        )
        expected, clear = slow.render_masks(mask[None], box, np.ones((1, 1)), (151, 333), 0.4, threshold_first)
        assert expected.sum() > 10000
        np.testing.assert_array_equal(masks.numpy()[clear], expected[clear])


def test_box_masks_give_the_contour_again(ops):
    y, x = np.mgrid[-1:1:21j, -1:1:21j]
    mask = np.float32(1 / (1 + np.exp(9 * (y**2 + np.abs(x) - 0.7))))
    arguments = mask[None], np.float32([[10, 20, 170, 250]]), ALONE, (200, 300)
    _, masks = ops.render_masks(*arguments, binary_threshold=0.4)
    boxes, box_masks = ops.render_box_masks(*arguments, 28, binary_threshold=0.4)
    top, left, bottom, right = boxes[0].numpy().astype(int)
    grid = Image.fromarray(box_masks[0].numpy())
    restored = np.asarray(grid.resize((right - left, bottom - top), Image.Resampling.BILINEAR)) > 0.5
    exact = masks.numpy()[0, top:bottom, left:right]
    assert (restored & exact).sum() / (restored | exact).sum() > 0.97


# Sizes


@pytest.mark.parametrize("threshold_first", [False, True])
def test_one_graph_serves_all_sizes(ops, threshold_first):
    shapes = [None, None, None], [None, 4], [None, None]
    signature = [*map(tf.TensorSpec, shapes), tf.TensorSpec([2], tf.int32), tf.TensorSpec([])]

    @tf.function(input_signature=signature)
    def compiled(*arguments):
        thresholding = {"binary_threshold": arguments[-1], "threshold_first": threshold_first}
        masks = ops.render_masks(*arguments[:-1], **thresholding)
        return *masks, *ops.render_box_masks(*arguments[:-1], 5, **thresholding)

    sizes = (2, 3, 4, (6, 7)), (0, 2, 3, (4, 5)), (0, 0, 0, (1, 1)), (3, 0, 0, (0, 9))
    for detections, regions, cells, size in sizes:
        rois, votes = tf.ones([regions, 4]) * [1.0, 2, 4, 5], tf.ones([detections, regions])
        arguments = tf.ones([regions, cells, cells]), rois, votes, tf.constant(size), tf.constant(0.5)
        boxes, masks, same_boxes, box_masks = compiled(*arguments)
        assert masks.shape == (detections, *size) and box_masks.shape == (detections, 5, 5)
        expected = [[1, 2, 4, 5] if regions else [0] * 4] * detections
        np.testing.assert_array_equal(boxes, np.reshape(expected, [-1, 4]))
        np.testing.assert_array_equal(same_boxes, boxes)
        assert (masks.numpy().sum(axis=(1, 2)) == (9 if regions else 0)).all()
    assert compiled.experimental_get_tracing_count() == 1


def test_graphs_know_what_is_known_of_shapes(ops):
    @tf.function
    def render(votes):
        arguments = tf.ones([3, 4, 4]), tf.ones([3, 4]), votes, (6, 7)
        masks = ops.render_masks(*arguments, binary_threshold=0.4)
        return *masks, *ops.render_box_masks(*arguments, 5, binary_threshold=0.4)

    for detections in (2, None):
        graph = render.get_concrete_function(tf.TensorSpec([detections, 3]))
        shapes = [shape.as_list() for shape in graph.output_shapes]
        assert shapes == [[detections, 4], [detections, 6, 7], [detections, 4], [detections, 5, 5]]


def test_box_masks_need_no_memory_for_the_image(ops):
    # 2^46 pixels.
    rois, size = [[0.0, 0, 4, 6], [2**23 - 9, 2**23 - 7, 2**23 + 9, 2**23 + 9]], (2**23, 2**23)
    boxes, box_masks = ops.render_box_masks(tf.ones([2, 3, 3]), rois, tf.eye(2), size, 7, binary_threshold=0.4)
    np.testing.assert_array_equal(boxes, [[0, 0, 4, 6], [2**23 - 9, 2**23 - 7, 2**23, 2**23]])
    np.testing.assert_allclose(box_masks, np.ones([2, 7, 7]), atol=1e-6)


def test_no_gradient(ops):
    roi_masks = tf.ones([1, 3, 3])
    with tf.GradientTape() as tape:
        tape.watch(roi_masks)
        arguments = roi_masks, [[0.0, 0, 4, 6]], ALONE, (9, 9)
        boxes, masks = ops.render_masks(*arguments, binary_threshold=0.4)
        _, box_masks = ops.render_box_masks(*arguments, 3, binary_threshold=0.4)
        total = tf.reduce_sum(boxes) + tf.reduce_sum(tf.cast(masks, tf.float32)) + tf.reduce_sum(box_masks)
    assert tape.gradient(total, roi_masks) is None


# Both implementations


def photograph_of_detections(rng, detections=20, regions=120):
    """Returns arguments as of a photograph: regions in crowds around detections."""
    size = np.array([300, 500])
    sides = np.exp(rng.uniform(np.log(8), np.log(400), (detections, 2)))
    centres = rng.uniform(0, size, (detections, 2))
    owners = np.arange(regions) % detections
    around = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)[owners]
    rois = np.clip(around + rng.normal(0, 0.05, (regions, 4)) * np.tile(sides[owners], 2), 0, np.tile(size, 2))
    votes = (owners == np.arange(detections)[:, None]) * rng.uniform(0.1, 1, (detections, regions))
    votes /= votes.sum(axis=1, keepdims=True)
    masks = rng.uniform(size=(regions, 21, 21)) ** 0.7
    return *(array.astype(np.float32) for array in (masks, rois, votes)), tuple(size.tolist())


@pytest.mark.parametrize("threshold_first", [False, True])
def test_native_and_portable_agree_on_photographs(threshold_first):
    if native.reason_for_absence():
        pytest.skip(native.reason_for_absence())
    for seed in range(3):
        arguments = photograph_of_detections(np.random.default_rng(seed))
        thresholding = {"binary_threshold": 0.4, "threshold_first": threshold_first}
        masks = [
            render_masks(*arguments, **thresholding, implementation=name)[1].numpy() for name in ("native", "portable")
        ]
        # Pixels whose probability is within rounding of the threshold.
        assert (masks[0] != masks[1]).mean() < 1e-5 and masks[0].mean() > 0.02


# What cannot be

GOOD = {
    "roi_masks": np.ones([3, 4, 4], np.float32),
    "rois": np.ones([3, 4], np.float32),
    "votes": np.ones([2, 3], np.float32),
    "image_size": (6, 7),
    "binary_threshold": 0.4,
    "threshold_first": False,
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"roi_masks": np.ones([3, 16], np.float32)}, "rank"),
        ({"roi_masks": np.ones([3, 4, 5], np.float32)}, "compatible"),
        ({"rois": np.ones([2, 4], np.float32)}, "compatible"),
        ({"rois": np.ones([3, 5], np.float32)}, "compatible"),
        ({"votes": np.ones([2, 4], np.float32)}, "compatible"),
        ({"votes": np.ones([3], np.float32)}, "compatible"),
        ({"image_size": (6, 7, 8)}, "compatible"),
        ({"image_size": 6}, "compatible"),
        ({"binary_threshold": [0.4, 0.5]}, "compatible"),
        ({"threshold_first": 1}, "threshold_first: expected a Python bool, found 1"),
        ({"threshold_first": tf.constant(True)}, "threshold_first: expected a Python bool"),
        ({"implementation": "fast"}, "implementation: expected 'native', 'portable' or None, found 'fast'"),
    ],
)
def test_impossible_arguments(changes, message):
    arguments = GOOD | changes
    with pytest.raises(ValueError, match=message):
        render_masks(**arguments)
    with pytest.raises(ValueError, match=message):
        render_box_masks(**arguments, mask_size=3)


@pytest.mark.parametrize("mask_size", [0, -1, 1025, 2.5, None])
def test_impossible_sizes_of_box_masks(mask_size):
    with pytest.raises(ValueError, match=f"mask_size: expected an integer in 1..1024, found {mask_size}"):
        render_box_masks(**GOOD, mask_size=mask_size)


@pytest.mark.parametrize("shapes_known", [False, True])
@pytest.mark.parametrize("operator", ["render_masks", "render_box_masks"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"roi_masks": tf.ones([3, 16])}, r"roi_masks must have shape \[R, P, P\]|rank 3"),
        ({"roi_masks": tf.ones([3, 4, 5])}, r"roi_masks must have shape \[R, P, P\]|must be equal"),
        ({"roi_masks": tf.ones([3, 1025, 1025])}, "with P at most 1024"),
        ({"rois": tf.ones([2, 4])}, r"rois must have shape \[3,4\], found \[2,4\]|must be equal"),
        ({"rois": tf.ones([3, 5])}, r"rois must have shape \[3,4\], found \[3,5\]|must be 4"),
        ({"votes": tf.ones([2, 4])}, r"votes must have shape \[D,3\], found \[2,4\]|must be equal"),
        ({"votes": tf.ones([3])}, r"votes must have shape \[D,3\], found \[3\]|rank 2"),
        ({"image_size": tf.constant([6])}, r"image_size must have shape \[2\]|must be 2"),
        ({"image_size": tf.constant([6, -1])}, r"image_size must be in \[0, 8388608\], found 6 x -1"),
        ({"image_size": tf.constant([2**23 + 1, 7])}, r"image_size must be in \[0, 8388608\], found 8388609 x 7"),
        ({"binary_threshold": tf.constant([0.4])}, r"binary_threshold must have shape \[\]|rank 0"),
    ],
)
def test_the_native_operators_name_wrong_inputs(operator, changes, message, shapes_known):
    if native.reason_for_absence():
        pytest.skip(native.reason_for_absence())
    tensors = {name: tf.constant(value) for name, value in GOOD.items() if name != "threshold_first"} | changes
    attributes = {"threshold_first": False} | ({"mask_size": 3} if operator == "render_box_masks" else {})
    specs = {name: tf.TensorSpec(x.shape if shapes_known else None, x.dtype) for name, x in tensors.items()}
    run = getattr(native._library(), f"fcis_tf_{operator}")
    graph = tf.function(lambda tensors: run(**tensors, **attributes))
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError), match=message):
        graph.get_concrete_function(specs)(tensors)
