"""Data sets by their format."""

from fcis_tf.data.coco import CocoSource
from fcis_tf.data.digits import DigitsSource

_SOURCES = {"digits": DigitsSource, "coco": CocoSource}


def load_dataset(dataset_config, mask_size, key="data"):
    """Opens a data set.

    Args:
        dataset_config: DigitsDataset or CocoDataset.
        mask_size: side in pixels of the instance masks that are cropped to their boxes.
        key: where in the configuration the data set stands ("data.train"), for messages.

    Returns:
        A source: DigitsSource or CocoSource.

    Raises:
        UserError: its files are missing or wrong.
    """
    return _SOURCES[dataset_config.format](dataset_config, mask_size, key)
