"""Data sets of tests."""

import tensorflow as tf

from fcis_tf.config import DataConfig, DigitsDataset
from fcis_tf.data import load_dataset


def open_source(dataset_config, mask_size=28, split="train", strict=False):
    """Opens the data set of a configuration that has no other; messages name it "data.train" or "data.eval"."""
    other = DigitsDataset(format="digits", split="eval", scenes=1)
    data_sets = {"train": other, "eval": other, split: dataset_config}
    return load_dataset(DataConfig(**data_sets, mask_size=mask_size, strict=strict), split)


def read_examples(source, indices=None):
    """Returns a list of a source's examples, as dicts of NumPy arrays: of all, or of those at the indices."""
    indices = tf.range(source.size, dtype=tf.int64) if indices is None else tf.constant(indices, tf.int64)
    return list(tf.data.Dataset.from_tensor_slices(indices).map(source.example).as_numpy_iterator())
