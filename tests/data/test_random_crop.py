"""Random crops, beside a slow reading that crops masks of whole images."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fcis_tf.data.mask_crops import crop_masks
from fcis_tf.data.preparation import prepare_image, prepare_window
from fcis_tf.data.random_crop import crop_instances, draw_window

# Boxes whose sides divide it have masks without loss.
MASK_SIZE = 24
SIDES = [1, 2, 3, 4, 6, 8, 12, 24]


@st.composite
def scenes(draw):
    """An image's size, masks of the whole image [G, H, W], their boxes [G, 4] and is_crowd [G]; the first is none."""
    height, width = draw(st.tuples(st.integers(24, 40), st.integers(24, 40)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(1, 4))
    masks, boxes = np.zeros((count, height, width), np.uint8), np.zeros((count, 4), np.float32)
    for mask, box in zip(masks, boxes, strict=True):
        sides = rng.choice(SIDES, 2)
        low = rng.integers(0, (height, width) - sides + 1)
        part = mask[low[0] : low[0] + sides[0], low[1] : low[1] + sides[1]]
        part[:] = rng.random(part.shape) < rng.choice([0.1, 0.5, 1.0])
        part.flat[rng.integers(part.size)] = 1
        box[:] = *low, *(low + sides)
    is_crowd = rng.random(count) < 0.4
    is_crowd[0] = False
    return masks, boxes, is_crowd


def instances_of(masks, boxes, is_crowd):
    crops = crop_masks(tf.constant(masks), tf.constant(boxes), MASK_SIZE)
    classes = tf.range(1, len(boxes) + 1)
    return {"boxes": tf.constant(boxes), "classes": classes, "is_crowd": tf.constant(is_crowd), "masks": crops}


def sample(mask, box):
    """Samples a mask of a whole image at the centres of MASK_SIZE x MASK_SIZE cells of a box."""
    ymin, xmin, ymax, xmax = box
    rows = ymin + (np.arange(MASK_SIZE) + 0.5) / MASK_SIZE * (ymax - ymin)
    columns = xmin + (np.arange(MASK_SIZE) + 0.5) / MASK_SIZE * (xmax - xmin)
    return mask[np.ix_(rows.astype(int), columns.astype(int))]


@settings(deadline=None, max_examples=40)
@given(scenes(), st.integers(5, 50), st.integers(0, 2**31 - 1))
def test_crops_are_those_of_masks_of_whole_images(scene, side, seed):
    masks, boxes, is_crowd = scene
    instances = instances_of(*scene)
    image_size = masks.shape[1:]
    origin, size = draw_window(instances, tf.constant(image_size), side, [seed, 0])
    cropped = {name: values.numpy() for name, values in crop_instances(instances, origin, size).items()}

    (top, left), (height, width) = origin.numpy(), size.numpy()
    assert (height, width) == tuple(np.minimum(image_size, side))
    assert 0 <= top <= image_size[0] - height and 0 <= left <= image_size[1] - width
    visible = masks[:, top : top + height, left : left + width]
    kept = np.flatnonzero(visible.any(axis=(1, 2)))
    np.testing.assert_array_equal(cropped["classes"], kept + 1)
    np.testing.assert_array_equal(cropped["is_crowd"], is_crowd[kept])
    assert not is_crowd[kept].all()
    clipped = np.clip(boxes - (top, left, top, left), 0, (height, width, height, width))[kept]
    np.testing.assert_array_equal(cropped["boxes"], clipped)
    for mask, whole, box in zip(cropped["masks"], visible[kept], clipped, strict=True):
        np.testing.assert_array_equal(mask, sample(whole, box))


@settings(deadline=None, max_examples=25)
@given(scenes(), st.integers(5, 50))
def test_an_object_is_whole_if_it_fits(scene, side):
    masks, boxes, is_crowd = scene
    instances = instances_of(masks[:1], boxes[:1], is_crowd[:1])
    origin, size = draw_window(instances, tf.constant(masks.shape[1:]), side, [0, 0])
    cropped = crop_instances(instances, origin, size)
    size = size.numpy()
    ymin, xmin, ymax, xmax = cropped["boxes"].numpy()[0]
    whole = boxes[0, 2:] - boxes[0, :2]
    np.testing.assert_array_equal((ymax - ymin, xmax - xmin), np.minimum(whole, size))
    if (whole <= size).all():
        np.testing.assert_array_equal(cropped["masks"], instances["masks"])


def windows_of(instances, image_size, side, draws=400):
    """Returns the origins [draws, 2] of windows with as many seeds."""
    seeds = tf.data.Dataset.range(draws)
    origins = seeds.map(lambda seed: draw_window(instances, tf.constant(image_size), side, tf.stack([0, seed]))[0])
    return np.array(list(origins.as_numpy_iterator()))


def test_windows_around_a_small_object_are_equally_probable():
    mask = np.zeros((1, 40, 40), np.uint8)
    mask[0, 20:22, 3:6] = 1
    instances = instances_of(mask, np.float32([[20, 3, 22, 6]]), np.array([False]))
    origins = windows_of(instances, (40, 40), 10)
    # Rows from 12 to 20 hold it, and columns from 0, as the image begins there, to 3.
    for axis, expected in enumerate((range(12, 21), range(0, 4))):
        found, counts = np.unique(origins[:, axis], return_counts=True)
        np.testing.assert_array_equal(found, expected)
        assert np.abs(counts / 400 * len(expected) - 1).max() < 0.5


def test_every_object_but_crowds_is_looked_at():
    masks = np.zeros((3, 60, 60), np.uint8)
    boxes = np.float32([[0, 0, 4, 4], [28, 28, 32, 32], [56, 56, 60, 60]])
    for mask, (low, _, high, _) in zip(masks, boxes.astype(int), strict=True):
        mask[low:high, low:high] = 1
    origins = windows_of(instances_of(masks, boxes, np.array([False, True, False])), (60, 60), 8)
    near = [np.abs(origins - low).max(axis=1) <= 8 for low in (0, 28, 56)]
    assert near[0].sum() > 140 and near[2].sum() > 140 and not near[1].any()


def test_windows_of_an_object_that_is_too_large_show_some_of_it():
    # Only two corners of the box belong to the object.
    mask = np.zeros((1, 48, 48), np.uint8)
    mask[0, :2, :2] = mask[0, -2:, -2:] = 1
    instances = instances_of(mask, np.float32([[0, 0, 48, 48]]), np.array([False]))
    origins = windows_of(instances, (48, 48), 7)
    corners = {(0, 0), (41, 41)}
    assert {tuple(origin) for origin in origins} == corners


@pytest.mark.parametrize("short_side", [48, 97, 140])
def test_a_window_is_resized_as_the_whole_image_is(short_side):
    image = tf.constant(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))
    whole, scale = prepare_image(image, short_side, 1000)
    for origin in [(0, 0), (11, 7), (whole.shape[0] - 20, whole.shape[1] - 30)]:
        window, its_scale = prepare_window(image, short_side, 1000, tf.constant(origin), tf.constant([20, 30]))
        expected = whole[origin[0] : origin[0] + 20, origin[1] : origin[1] + 30]
        np.testing.assert_allclose(window, expected, atol=0.02)
        np.testing.assert_array_equal(its_scale, scale)
