"""Batches for training and for evaluation."""

import numpy as np
import tensorflow as tf

from fcis_tf.boxes import mirror
from fcis_tf.data.order import draw_seed, training_order
from fcis_tf.data.preparation import pad_image, prepare_image, prepare_window, resized_size
from fcis_tf.data.random_crop import crop_instances, draw_window
from fcis_tf.data.readable_example import read_example
from fcis_tf.errors import UserError

# What random numbers are drawn for.
_FLIP, _SCALE, _CROP = range(3)


def training_batches(source, data_config, images_per_step, seed, first_step=0, worker=(0, 1), parts=1):
    """Makes the endless stream of training batches.

    Which images a step has, at which scale, which of them are flipped and where they are cut depends on the seed and
    the step only: a run that is resumed at step k goes on with the very batches that it would have had, and neither
    workers nor parts change anything but how a step's images are distributed. All images of a step are in landscape
    format, or all in portrait format, but for one step of an epoch; see `EpochOrder`.

    Unless `data_config.strict`, an image that cannot be read is replaced by the next one of the order that can.

    Args:
        source: of `load_dataset`.
        data_config: DataConfig.
        images_per_step: of all workers together.
        seed: an integer.
        first_step: how many steps to leave out.
        worker: (i, count): the images are the i-th of so many equal parts of those that a single worker would have, i
            from 0.
        parts: into how many batches a worker's images of a step are split, in their order; each is padded on its own.

    Returns:
        tf.data.Dataset of dicts, of N = images_per_step / (workers * parts) images each:
        images: [N, H, W, 3] float32 RGB, the mean subtracted, zeros on the right and bottom up to H and W.
        image_sizes: [N, 2] int32 (height, width) of the image within its padding.
        original_sizes: [N, 2] int32 (height, width) of the image as it was read.
        image_ids: [N] int64.
        boxes: [N, G, 4] float32 (ymin, xmin, ymax, xmax) in pixels of `images`.
        classes: [N, G] int32, 1 to C; 0 for padding.
        is_crowd: [N, G] bool.
        masks: [N, G, M, M] uint8 0 or 1, each cropped to its box.
        skipped: [N] int64, the source's index of an image that this one replaces, or -1.
        positions: [N] int64, of the images in the training order; random numbers can be drawn by them.

    Raises:
        UserError: no image of the source has an instance to learn from, or the batches cannot be of equal size.
    """
    number, workers = worker
    if images_per_step % (workers * parts):
        raise UserError(
            f"training.images_per_step: expected a multiple of {workers * parts}, as each step's images are split into "
            f"so many equal batches, found {images_per_step}"
        )
    images_per_worker = images_per_step // workers
    order = training_order(source, images_per_step, seed)

    def positions(step):
        first = step * images_per_step + number * images_per_worker
        return tf.data.Dataset.range(first, first + images_per_worker)

    def prepare(position):
        if data_config.strict or source.size is None:
            example, skipped = source.example(order.index(position)), tf.constant(-1, tf.int64)
        else:
            example, skipped = read_example(source, order, position)
        flip = data_config.horizontal_flip & (_uniform(seed, _FLIP, position) < 0.5)
        short_side, long_side = draw_scale(data_config, seed, position // images_per_step)
        example = flip_example(example, flip)
        if max(data_config.train_scales, default=0) <= data_config.short_side:
            prepared = prepare_example(example, short_side, long_side)
        else:
            prepared = tf.cond(
                short_side > data_config.short_side,
                lambda: crop_example(
                    example, short_side, long_side, data_config.crop_size, draw_seed(seed, _CROP, position)
                ),
                lambda: prepare_example(example, short_side, long_side),
            )
        return prepared | {"skipped": skipped, "positions": position}

    # Elements are steps at first, so that a tf.data service leaves a batch whole.
    steps = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max // images_per_step)
    examples = steps.flat_map(positions).map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
    return examples.padded_batch(images_per_worker // parts, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def evaluation_batches(source, data_config, batch_size=1):
    """Makes batches of all images of a source, once and in order.

    Unless `data_config.strict`, images that cannot be read are left out.

    Args:
        source: of `load_dataset`, not an endless one.
        data_config: DataConfig.
        batch_size: images per batch; the last one may hold fewer.

    Returns:
        tf.data.Dataset of dicts as `training_batches` makes them, but for `skipped` and `positions`.

    Raises:
        UserError: the source is endless.
    """
    if source.size is None:
        raise UserError(f"{source.name}: evaluation needs a finite data set, set scenes to 1 or more")

    def prepare(index):
        return prepare_example(source.example(index), data_config.short_side, data_config.long_side)

    examples = tf.data.Dataset.range(source.size).map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
    if not data_config.strict:
        examples = examples.ignore_errors(log_warning=False)
    return examples.padded_batch(batch_size).prefetch(tf.data.AUTOTUNE)


def training_scales(data_config):
    """Returns the scales to train at: a list of (short side, long side) in pixels, all of them equally probable."""
    short_sides = data_config.train_scales or (data_config.short_side,)
    return [(side, side * data_config.long_side / data_config.short_side) for side in short_sides]


def draw_scale(data_config, seed, step):
    """Draws the scale of a training batch.

    Args:
        data_config: DataConfig.
        seed: the training's seed.
        step: int64 scalar.

    Returns:
        short_side, long_side: float32 scalars.
    """
    scales = training_scales(data_config)
    choice = tf.cast(_uniform(seed, _SCALE, step) * len(scales), tf.int32)
    return tuple(tf.unstack(tf.constant(scales, tf.float32)[choice]))


def flip_example(example, is_flipped):
    """Mirrors an image together with its instances, left and right.

    Args:
        example: dict of a source's `example`.
        is_flipped: bool scalar tensor, whether to do so.

    Returns:
        A dict like `example`.
    """

    def mirrored():
        image, masks = example["image"], example["masks"]
        boxes = mirror(example["boxes"], tf.cast(tf.shape(image)[1], tf.float32))
        return example | {"image": tf.reverse(image, [1]), "boxes": boxes, "masks": tf.reverse(masks, [2])}

    return tf.cond(is_flipped, mirrored, lambda: example)


def prepare_example(example, short_side, long_side):
    """Resizes and pads an image, and brings its boxes to the new size.

    Args:
        example: dict of a source's `example`.
        short_side, long_side: as `prepare_image` takes them.

    Returns:
        A dict as in `training_batches`, without the batch dimension, `skipped` and `positions`.
    """
    image, scale = prepare_image(example["image"], short_side, long_side)
    boxes = example["boxes"] * tf.tile(scale, [2])
    return _prepared(example, image, example | {"boxes": boxes})


def crop_example(example, short_side, long_side, crop_size, seed):
    """Resizes an image and crops it at random to a window around an object, of which there must be one.

    Args:
        example: dict of a source's `example`.
        short_side, long_side: as `prepare_image` takes them.
        crop_size: the window's height and width in pixels, where the resized image isn't smaller.
        seed: [2] integers.

    Returns:
        As `prepare_example` does.
    """
    original_size = tf.shape(example["image"])[:2]
    size = resized_size(original_size, short_side, long_side)
    scale = tf.cast(size, tf.float32) / tf.cast(original_size, tf.float32)
    instances = {name: example[name] for name in ("classes", "is_crowd", "masks")}
    instances["boxes"] = example["boxes"] * tf.tile(scale, [2])
    window = draw_window(instances, size, crop_size, seed)
    image, _ = prepare_window(example["image"], short_side, long_side, *window)
    return _prepared(example, image, crop_instances(instances, *window))


def _prepared(example, image, instances):
    return {
        "images": pad_image(image),
        "image_sizes": tf.shape(image)[:2],
        "original_sizes": tf.shape(example["image"])[:2],
        "image_ids": example["image_id"],
        **{name: instances[name] for name in ("boxes", "classes", "is_crowd", "masks")},
    }


def _uniform(seed, purpose, number):
    return tf.random.stateless_uniform([], draw_seed(seed, purpose, number))
