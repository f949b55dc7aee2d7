"""Data sets by their format."""

import functools

from fcis_tf.data.coco_json import read_coco
from fcis_tf.data.digits import DigitsSource
from fcis_tf.data.file_source import FileSource
from fcis_tf.data.sbd import read_sbd
from fcis_tf.data.tfrecord.record_source import RecordSource
from fcis_tf.data.voc import read_voc

_READERS = {"coco": read_coco, "sbd": read_sbd, "voc": read_voc}
_SOURCES = {name: functools.partial(FileSource, read) for name, read in _READERS.items()}
_SOURCES |= {"digits": DigitsSource, "tfrecord": RecordSource}


def load_dataset(data_config, split):
    """Opens a data set.

    Args:
        data_config: DataConfig.
        split: "train" or "eval", which of its data sets.

    Returns:
        A source: DigitsSource, FileSource or RecordSource. Its `name` is the key of the configuration, such as
        "data.train".

    Raises:
        UserError: its files are missing or wrong.
    """
    dataset_config = getattr(data_config, split)
    open_source = _SOURCES[dataset_config.format]
    return open_source(dataset_config, data_config.mask_size, f"data.{split}", data_config.strict)
