"""Images that cannot be read, and those that training takes instead."""

import tensorflow as tf

from fcis_tf.data.image_file import check_image, plain_options

# More in a row means that something other than a few files is wrong.
_TRIES = 100


def read_example(source, order, position):
    """Reads the image at a position of the training order, or the next one that can be read.

    Args:
        source: of `load_dataset`.
        order: of `training_order`.
        position: int64 scalar.

    Returns:
        example: what `source.example` returns.
        skipped: int64 scalar, the index of the position's own image if it cannot be read, or -1.

    Raises:
        tf.errors.InvalidArgumentError: too many images in a row cannot be read; see `describe_data_error`.
    """
    # Graphs have no try, but a dataset that ignores errors has no element where there was one.
    indices = tf.data.Dataset.range(_TRIES).map(lambda shift: order.index(position, shift))
    examples = indices.map(lambda index: (index, source.example(index)))
    # Where all fail, an index of -1 comes last.
    nothing = (tf.constant(-1, tf.int64), tf.nest.map_structure(_zeros, examples.element_spec[1]))
    found = examples.ignore_errors(log_warning=False).concatenate(tf.data.Dataset.from_tensors(nothing))
    index, example = found.take(1).with_options(plain_options()).get_single_element()
    own = order.index(position)
    problem = f"{_TRIES} images in a row cannot be read, or else what is annotated in them; data.strict: true names one"
    image = check_image(example["image"], index >= 0, source.name, problem)
    return example | {"image": image}, tf.where(index == own, tf.constant(-1, tf.int64), own)


def _zeros(spec):
    return tf.zeros([size or 0 for size in spec.shape], spec.dtype)
