"""Reading PASCAL VOC's own masks: pictures whose palette indices are the instances and the classes."""

import functools

import numpy as np
from PIL import Image

from fcis_tf.data.image_list import read_image_ids
from fcis_tf.data.numbered_instances import NumberedInstances, annotate_images
from fcis_tf.data.problems import Problems, Unusable
from fcis_tf.data.voc_classes import VOC_URL
from fcis_tf.errors import UserError

# The border around objects, which belongs to none of them.
_VOID = 255

_HINT = (
    "expected PASCAL VOC's folder VOC2012 with JPEGImages, SegmentationObject, SegmentationClass and "
    f"ImageSets/Segmentation, from {VOC_URL}"
)


def read_voc(config, key, strict):
    """Reads VOC's instances of a split.

    Args:
        config: VocDataset.
        key: where in the configuration it stands.
        strict: whether an image that cannot be used is an error.

    Returns:
        AnnotatedImages.

    Raises:
        UserError: a folder or a list is missing or isn't what VOC has, or no image is left that can be used.
    """
    root, key = config.root, f"{key}.root"
    if not root.is_dir():
        raise UserError(f"{key}: {root}: no such folder; {_HINT}")
    list_path = root / "ImageSets" / "Segmentation" / f"{config.split}.txt"
    return annotate_images(
        read_image_ids(list_path, key, _HINT)[: config.max_images or None],
        find_image=lambda image_id: root / "JPEGImages" / f"{image_id}.jpg",
        read_instances=functools.partial(_read_instances, root),
        problems=Problems(f"{key}: {list_path}", strict),
    )


def _read_instances(root, image_id):
    objects_path, classes_path = (
        root / folder / f"{image_id}.png" for folder in ("SegmentationObject", "SegmentationClass")
    )
    objects, classes = (_read_indices(path) for path in (objects_path, classes_path))
    if objects.shape != classes.shape:
        sizes = [f"{width} x {height}" for height, width in (objects.shape, classes.shape)]
        detail = f"{objects_path} is {sizes[0]} pixels, but {classes_path} {sizes[1]}; expected the same"
        raise Unusable("masks of different sizes", detail)
    numbers = [number for number in np.unique(objects).tolist() if number not in (0, _VOID)]
    labels = {number: _commonest_class(classes[objects == number]) for number in numbers}
    return NumberedInstances(objects_path, objects, labels)


def _read_indices(path):
    """Returns a picture's palette indices, [H, W] uint8."""
    try:
        with Image.open(path) as image:
            mode, indices = image.mode, np.asarray(image)
    except FileNotFoundError:
        raise Unusable("masks without a file", f"{path}: no such file") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise Unusable("masks that cannot be read", f"{path}: not an image that can be read; expected PNG") from None
    if mode not in ("P", "L"):
        detail = f"{path}: is a picture of mode {mode}; expected PNG with a palette, one index a pixel"
        raise Unusable("masks that cannot be read", detail)
    return indices


def _commonest_class(labels):
    """The class of most of an object's pixels; 255 if it has no other."""
    counts = np.bincount(labels, minlength=_VOID + 1)
    counts[_VOID] = 0
    return int(counts.argmax()) if counts.any() else _VOID
