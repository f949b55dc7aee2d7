"""Instances that are drawn as maps of their numbers, as in PASCAL VOC and SBD."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask
from tqdm import tqdm

from fcis_tf.data.annotated_images import AnnotatedImages
from fcis_tf.data.exif_orientation import read_orientation, upright_size
from fcis_tf.data.problems import Unusable
from fcis_tf.data.voc_classes import VOC_CLASSES


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


def annotate_images(image_ids, find_image, read_instances, problems):
    """Reads the instances of a list of images, which are numbered from 1 as they stand in the list.

    Args:
        image_ids: list of strings.
        find_image: function of an id that returns the path of the image.
        read_instances: function of an id that returns its NumberedInstances, or raises Unusable.
        problems: Problems, which are counted there: images and instances that cannot be used are left out.

    Returns:
        AnnotatedImages of VOC's classes.

    Raises:
        UserError: no image is left, or there is a problem and the data set is to be read strictly.
    """
    images, paths, annotations = [], [], []
    progress = tqdm(image_ids, "Reading masks", unit=" images", delay=2, leave=False)
    for number, image_id in enumerate(progress, start=1):
        path = find_image(image_id)
        try:
            instances = read_instances(image_id)
            height, width = instances.numbers.shape
            _check_size(path, (height, width), instances.path)
        except Unusable as problem:
            problems.report(problem.kind, problem.detail, of="images")
            continue
        images.append({"id": number, "height": height, "width": width})
        paths.append(path)
        annotations += _usable_annotations(number, instances, problems)
    problems.check_something_is_left(images)
    categories = [{"id": label, "name": name} for label, name in enumerate(VOC_CLASSES, start=1)]
    return AnnotatedImages(images, paths, annotations, categories, problems)


def _check_size(path, mask_size, mask_path):
    """Checks that an image is of the size of its masks, as it is stored or upright, like `decode_contents`."""
    try:
        # This reads the head of the file only.
        with Image.open(path) as image:
            size = image.size[::-1]
    except FileNotFoundError:
        raise Unusable("images without a file", f"{path}: no such file") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise Unusable("images that cannot be read", f"{path}: not an image that can be read; expected JPEG") from None
    if size != mask_size and _upright_size(path, size) != mask_size:
        found, expected = (f"{width} x {height}" for height, width in (size, mask_size))
        detail = f"{path}: is {found} pixels; expected {expected}, as its masks in {mask_path} are"
        raise Unusable("masks of another size than the image's", detail)


def _upright_size(path, size):
    return tuple(upright_size(size, read_orientation(path.read_bytes())).numpy())


def _usable_annotations(image_id, instances, problems):
    """Returns annotations of the instances that have a pixel and one of VOC's classes."""
    usable = []
    for number, annotation in zip(instances.classes, _annotations(image_id, instances), strict=True):
        where, label = f"{instances.path}: instance {number}", annotation["category_id"]
        if not 1 <= label <= len(VOC_CLASSES):
            detail = f"{where} is of class {label}; expected 1 to {len(VOC_CLASSES)}"
            problems.report("instances of unknown classes", detail)
        elif not annotation["area"]:
            problems.report("instances without a pixel", f"{where} has no pixel")
        else:
            usable.append(annotation)
    return usable


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
