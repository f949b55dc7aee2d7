"""What readers of annotations hand over, whatever the format of the files."""

from typing import NamedTuple

from fcis_tf.data.problems import Problems


class AnnotatedImages(NamedTuple):
    """Image files and their instances, as far as these can be used.

    Attributes:
        images: list of dicts with id, height and width, sorted by id.
        paths: list of pathlib.Path, the file of each image; it is there, but may not be one that can be decoded.
        annotations: list of dicts with image_id, category_id, iscrowd, area, bbox (x, y, width, height, clipped to
            the image) and segmentation (polygons of three points or more, or a compressed run-length encoding).
        categories: list of dicts with id and name, sorted by id.
        problems: why other images and annotations were left out.
    """

    images: list
    paths: list
    annotations: list
    categories: list
    problems: Problems
