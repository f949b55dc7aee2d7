"""Data sets, and batches of them."""

from fcis_tf.data.dataset import load_dataset
from fcis_tf.data.image_file import decode_image, describe_data_error
from fcis_tf.data.pipeline import evaluation_batches, training_batches
from fcis_tf.data.preparation import IMAGE_MEAN, SIZE_MULTIPLE, pad_image, prepare_image

__all__ = [
    "IMAGE_MEAN",
    "SIZE_MULTIPLE",
    "decode_image",
    "describe_data_error",
    "evaluation_batches",
    "load_dataset",
    "pad_image",
    "prepare_image",
    "training_batches",
]
