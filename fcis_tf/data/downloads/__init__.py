"""Published data sets as they are downloaded: what there is to get, and how it is checked and unpacked."""

from fcis_tf.data.downloads.coco import COCO
from fcis_tf.data.downloads.download import Download
from fcis_tf.data.downloads.voc import VOC

__all__ = ["COCO", "VOC", "Download"]
