"""Instances that are drawn as maps of their numbers, as in PASCAL VOC and SBD."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask
from tqdm import tqdm

from fcis_tf.data.annotated_images import AnnotatedImages
from fcis_tf.data.voc_classes import VOC_CLASSES
from fcis_tf.errors import UserError


class NumberedInstances(NamedTuple):
    """The instances of an image.

    Attributes:
        path: of the file that they were read from.
        numbers: [H, W] integer array, the number of the instance that each pixel belongs to. Pixels of other numbers
            belong to none.
        classes: dict from the numbers of instances to their classes.
    """

    path: Path
    numbers: np.ndarray
    classes: dict


def annotate_images(image_ids, find_image, read_instances, key, hint, problems):
    """Reads the instances of a list of images, which are numbered from 1.

    Args:
        image_ids: list of strings.
        find_image: function of an id that returns the path of the image.
        read_instances: function of an id that returns its NumberedInstances.
        key: the key of the configuration that names the folder of both, for messages.
        hint: what to say of where a missing file comes from.
        problems: Problems, which are counted there.

    Returns:
        AnnotatedImages of VOC's classes.

    Raises:
        UserError: an image is missing or of another size than its masks, or a class isn't one of VOC's.
    """
    images, annotations = [], []
    paths = [find_image(image_id) for image_id in image_ids]
    progress = tqdm(image_ids, "Reading masks", unit=" images", delay=2, leave=False)
    for number, (image_id, path) in enumerate(zip(progress, paths, strict=True), start=1):
        instances = read_instances(image_id)
        height, width = instances.numbers.shape
        _check_size(path, (height, width), instances.path, key, hint)
        _check_classes(instances, key)
        images.append({"id": number, "height": height, "width": width})
        for annotation in _annotations(number, instances):
            if annotation["area"]:
                annotations.append(annotation)
            else:
                problems.report("instances without a pixel", f"{instances.path}: has an instance without a pixel")
    categories = [{"id": label, "name": name} for label, name in enumerate(VOC_CLASSES, start=1)]
    return AnnotatedImages(images, paths, annotations, categories, problems)


def _check_size(path, mask_size, mask_path, key, hint):
    try:
        # This reads the head of the file only.
        with Image.open(path) as image:
            size = image.size[::-1]
    except FileNotFoundError:
        raise UserError(f"{key}: {path}: no such file; {hint}") from None
    except (OSError, Image.DecompressionBombError):
        raise UserError(f"{key}: {path}: not an image that can be read; expected JPEG") from None
    if size != mask_size:
        found, expected = (f"{width} x {height}" for height, width in (size, mask_size))
        raise UserError(f"{key}: {path}: is {found} pixels; expected {expected}, as its masks in {mask_path} are")


def _check_classes(instances, key):
    for number, label in instances.classes.items():
        if not 1 <= label <= len(VOC_CLASSES):
            problem = f"instance {number} is of class {label}; expected 1 to {len(VOC_CLASSES)}"
            raise UserError(f"{key}: {instances.path}: {problem}")


def _annotations(image_id, instances):
    """Returns annotations of all instances, with area 0 for those without a pixel."""
    numbers = np.array(list(instances.classes), int)
    # pycocotools wants [height, width, masks] in Fortran order, the masks' transposes one after the other.
    transposed = np.ascontiguousarray(instances.numbers.T) == numbers[:, None, None]
    encoded = coco_mask.encode(np.asfortranarray(transposed.astype(np.uint8).transpose(2, 1, 0)))
    return [
        {
            "image_id": image_id,
            "category_id": label,
            "iscrowd": 0,
            "area": float(coco_mask.area(segmentation)),
            "bbox": coco_mask.toBbox(segmentation).tolist(),
            "segmentation": segmentation,
        }
        for label, segmentation in zip(instances.classes.values(), encoded, strict=True)
    ]
