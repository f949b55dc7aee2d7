"""Ground truth as pycocotools takes it."""

import contextlib
import io

from pycocotools.coco import COCO


def make_coco(images, annotations, categories):
    """Makes a pycocotools COCO without a file and without printing.

    Annotations are numbered anew from 1: ids in files need not be unique, and pycocotools takes id 0 for "no match".

    Args:
        images: list of dicts with id, height and width.
        annotations: list of dicts with image_id, category_id, segmentation, area, bbox and iscrowd.
        categories: list of dicts with id and name.

    Returns:
        pycocotools.coco.COCO.
    """
    coco = COCO()
    coco.dataset = {
        "info": {},
        "images": images,
        "annotations": [annotation | {"id": i} for i, annotation in enumerate(annotations, start=1)],
        "categories": categories,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def restrict_coco(coco, image_ids):
    """Makes a COCO of some of the images of another one, with all its categories.

    Args:
        coco: pycocotools.coco.COCO.
        image_ids: of the images to keep.

    Returns:
        pycocotools.coco.COCO.
    """
    image_ids = set(image_ids)
    images = [image for image in coco.dataset["images"] if image["id"] in image_ids]
    annotations = [annotation for annotation in coco.dataset["annotations"] if annotation["image_id"] in image_ids]
    return make_coco(images, annotations, coco.dataset["categories"])
