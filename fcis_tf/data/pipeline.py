"""Batches for training and for evaluation."""

import numpy as np
import tensorflow as tf

from fcis_tf.boxes import mirror
from fcis_tf.data.order import training_flip, training_index
from fcis_tf.data.preparation import pad_image, prepare_image
from fcis_tf.errors import UserError


def training_batches(source, data_config, batch_size, seed, first_step=0):
    """Makes the endless stream of training batches.

    Which images are in a batch and which of them are flipped depends on the seed and the step only: a run that
    is resumed at step k goes on with the very batches that it would have had.

    Args:
        source: of `load_dataset`.
        data_config: DataConfig.
        batch_size: images per batch, N.
        seed: an integer.
        first_step: how many batches to leave out.

    Returns:
        tf.data.Dataset of dicts:
        images: [N, H, W, 3] float32 RGB, the mean subtracted, zeros on the right and bottom up to H and W.
        image_sizes: [N, 2] int32 (height, width) of the image within its padding.
        original_sizes: [N, 2] int32 (height, width) before resizing.
        image_ids: [N] int64.
        boxes: [N, G, 4] float32 (ymin, xmin, ymax, xmax) in pixels of `images`.
        classes: [N, G] int32, 1 to C; 0 for padding.
        is_crowd: [N, G] bool.
        masks: [N, G, M, M] uint8 0 or 1, each cropped to its box.

    Raises:
        UserError: no image of the source has an instance to learn from.
    """
    candidates = source.training_indices
    if candidates is not None and not len(candidates):
        raise UserError(f"{source.name}: no image has an instance to learn from")
    candidates = None if candidates is None else tf.constant(candidates, tf.int64)
    positions = tf.data.Dataset.range(first_step * batch_size, np.iinfo(np.int64).max)
    indices = positions.map(lambda position: training_index(candidates, seed, position))
    flips = positions.map(lambda position: data_config.horizontal_flip & training_flip(seed, position))
    examples = tf.data.Dataset.zip(_examples(source, indices), flips)
    return _batch(examples, data_config, batch_size, drop_remainder=True)


def evaluation_batches(source, data_config, batch_size=1):
    """Makes batches of all images of a source, once and in order.

    Args:
        source: of `load_dataset`, not an endless one.
        data_config: DataConfig.
        batch_size: images per batch; the last one may hold fewer.

    Returns:
        tf.data.Dataset of dicts as `training_batches` makes them.

    Raises:
        UserError: the source is endless.
    """
    if source.size is None:
        raise UserError(f"{source.name}: evaluation needs a finite data set, set scenes to 1 or more")
    examples = _examples(source, tf.data.Dataset.range(source.size)).map(lambda example: (example, False))
    return _batch(examples, data_config, batch_size, drop_remainder=False)


def _examples(source, indices):
    return indices.map(source.example, num_parallel_calls=tf.data.AUTOTUNE)


def _batch(examples, data_config, batch_size, drop_remainder):
    """Prepares and batches a dataset of (example, whether to flip it)."""

    def prepare(example, is_flipped):
        return prepare_example(flip_example(example, is_flipped), data_config.short_side, data_config.long_side)

    prepared = examples.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
    return prepared.padded_batch(batch_size, drop_remainder=drop_remainder).prefetch(tf.data.AUTOTUNE)


def flip_example(example, is_flipped):
    """Mirrors an image together with its instances, left and right.

    Args:
        example: dict of a source's `examples`.
        is_flipped: bool scalar, whether to do so.

    Returns:
        A dict like `example`.
    """
    image, boxes, masks = example["image"], example["boxes"], example["masks"]
    mirrored = {
        "image": image[:, ::-1],
        "boxes": mirror(boxes, tf.cast(tf.shape(image)[1], tf.float32)),
        "masks": masks[..., ::-1],
    }
    return example | {name: tf.where(is_flipped, value, example[name]) for name, value in mirrored.items()}


def prepare_example(example, short_side, long_side):
    """Resizes and pads an image, and brings its boxes to the new size.

    Args:
        example: dict of a source's `examples`.
        short_side, long_side: as `prepare_image` takes them.

    Returns:
        A dict as in `training_batches`, without the batch dimension.
    """
    image, scale = prepare_image(example["image"], short_side, long_side)
    return {
        "images": pad_image(image),
        "image_sizes": tf.shape(image)[:2],
        "original_sizes": tf.shape(example["image"])[:2],
        "image_ids": example["image_id"],
        "boxes": example["boxes"] * tf.tile(scale, [2]),
        "classes": example["classes"],
        "is_crowd": example["is_crowd"],
        "masks": example["masks"],
    }
