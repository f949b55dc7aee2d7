"""Data sets by their format."""

import functools

from fcis_tf.data.coco_json import read_coco
from fcis_tf.data.digits import DigitsSource
from fcis_tf.data.file_source import FileSource
from fcis_tf.data.sbd import read_sbd
from fcis_tf.data.voc import read_voc

_READERS = {"coco": read_coco, "sbd": read_sbd, "voc": read_voc}
_SOURCES = {name: functools.partial(FileSource, read) for name, read in _READERS.items()} | {"digits": DigitsSource}


def load_dataset(dataset_config, mask_size, key="data"):
    """Opens a data set.

    Args:
        dataset_config: DigitsDataset, CocoDataset, SbdDataset or VocDataset.
        mask_size: side in pixels of the instance masks that are cropped to their boxes.
        key: where in the configuration the data set stands ("data.train"), for messages.

    Returns:
        A source: DigitsSource or FileSource.

    Raises:
        UserError: its files are missing or wrong.
    """
    return _SOURCES[dataset_config.format](dataset_config, mask_size, key)
