"""Random crops of enlarged images, each with at least one object (FCIS section 4.2)."""

import tensorflow as tf

from fcis_tf import boxes
from fcis_tf.data.mask_crops import crop_masks


def draw_window(instances, image_size, side, seed):
    """Draws a window of an image around an object.

    The object is one of the instances that aren't crowds, drawn at random. Along an axis on which it fits into the
    window, the window holds it whole, otherwise the window lies within its box and shows a part of its mask that is
    drawn at random. All such windows are equally probable.

    Args:
        instances: dict with boxes, is_crowd and masks as a source's `example` has them, one no crowd at least; boxes
            in pixels of the image.
        image_size: [2] int32 (height, width) of the image.
        side: the window's height and width in pixels, where the image isn't smaller.
        seed: [2] integers.

    Returns:
        origin: [2] int32, the window's upper left corner (y, x).
        size: [2] int32, its height and width.
    """
    seeds = tf.random.experimental.stateless_split(seed, 3)
    image_size = tf.cast(image_size, tf.float32)
    size = tf.minimum(image_size, side)
    chosen = _draw(~instances["is_crowd"], seeds[0])
    box, mask = instances["boxes"][chosen], instances["masks"][chosen]
    low, high = tf.floor(box[:2]), tf.minimum(tf.math.ceil(box[2:]), image_size)
    cell_low, cell_high = _draw_cell(box, mask, seeds[1])
    fits = high - low <= size
    first = tf.where(fits, high - size, tf.maximum(low, cell_high - size))
    last = tf.where(fits, low, tf.minimum(high - size, cell_low))
    first = tf.clip_by_value(first, 0.0, image_size - size)
    last = tf.clip_by_value(last, first, image_size - size)
    origin = tf.floor(first + tf.random.stateless_uniform([2], seeds[2]) * (last - first + 1.0))
    return tf.cast(tf.minimum(origin, last), tf.int32), tf.cast(size, tf.int32)


def crop_instances(instances, origin, size):
    """Crops instances to a window of their image.

    Boxes are clipped, and masks cropped to the clipped boxes. Instances without a pixel in the window are left out.

    Args:
        instances: dict with boxes, classes, is_crowd and masks as a source's `example` has them.
        origin: [2] int32, the window's upper left corner (y, x) in the pixels that the boxes are in.
        size: [2] int32, its height and width.

    Returns:
        A dict like `instances`, boxes in pixels of the window.
    """
    corner = tf.tile(tf.cast(origin, tf.float32), [2])
    clipped = boxes.clip((instances["boxes"] - corner)[None], size[None])[0]
    # Of an object smaller than a pixel all has to be there.
    is_inside = tf.reduce_all(_sides(clipped) >= tf.minimum(_sides(instances["boxes"]), 1.0), axis=1)
    instances = _select(instances | {"clipped": clipped}, is_inside)
    clipped = instances.pop("clipped")
    # The mask is the picture to crop, and the clipped box is a part of it.
    mask_size = instances["masks"].shape[-1]
    whole_low, whole_sides = (tf.tile(x, [1, 2]) for x in (instances["boxes"][:, :2], _sides(instances["boxes"])))
    parts = (clipped + corner - whole_low) / whole_sides * mask_size
    masks = crop_masks(instances["masks"], parts, mask_size)
    return _select(instances | {"boxes": clipped, "masks": masks}, tf.reduce_any(masks > 0, axis=[1, 2]))


def _draw_cell(box, mask, seed):
    """Returns the upper left and lower right corners, [2] each, of the pixels around a random cell of a mask."""
    rows = tf.shape(mask)[0]
    cell = _draw(tf.reshape(mask, [-1]) > 0, seed)
    cell = tf.cast(tf.stack([cell // rows, cell % rows]), tf.float32)
    sides = (box[2:] - box[:2]) / tf.cast(rows, tf.float32)
    return tf.floor(box[:2] + cell * sides), tf.math.ceil(box[:2] + (cell + 1.0) * sides)


def _draw(candidates, seed):
    """Returns the index of one of the True values of a bool vector, int32."""
    priorities = tf.random.stateless_uniform(tf.shape(candidates), seed)
    return tf.argmax(tf.where(candidates, priorities, -1.0), output_type=tf.int32)


def _sides(boxes):
    return boxes[:, 2:] - boxes[:, :2]


def _select(instances, condition):
    return {name: tf.boolean_mask(values, condition) for name, values in instances.items()}
