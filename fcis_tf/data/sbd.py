"""Reading SBD: the Semantic Boundaries Dataset, which annotates 11,355 images of PASCAL VOC with masks."""

import functools

import numpy as np
import scipy.io

from fcis_tf.data.image_list import read_image_ids
from fcis_tf.data.numbered_instances import NumberedInstances, annotate_images
from fcis_tf.data.problems import Problems, Unusable
from fcis_tf.data.voc_classes import VOC_URL
from fcis_tf.errors import UserError

_HINT = (
    "expected SBD's folder dataset with img, inst, train.txt and val.txt, "
    "from http://home.bharathh.info/pubs/codes/SBD/download.html"
)
_LIST_HINT = f"expected a list of images such as ImageSets/Main/train.txt of PASCAL VOC 2012, from {VOC_URL}"


def read_sbd(config, key, strict):
    """Reads SBD's instances of one of its own splits, or of the images of a list that SBD has.

    Args:
        config: SbdDataset.
        key: where in the configuration it stands.
        strict: whether an image that cannot be used is an error.

    Returns:
        AnnotatedImages.

    Raises:
        UserError: a folder or a list is missing or isn't what SBD has, or no image is left that can be used.
    """
    root = config.root
    if not root.is_dir():
        raise UserError(f"{key}.root: {root}: no such folder; {_HINT}")
    image_ids, origin = _image_ids(config, key)
    return annotate_images(
        image_ids[: config.max_images or None],
        find_image=lambda image_id: root / "img" / f"{image_id}.jpg",
        read_instances=functools.partial(_read_instances, root / "inst"),
        problems=Problems(origin, strict),
    )


def _image_ids(config, key):
    """Returns the images to read, and the key and file that say so."""

    def own_list(split):
        return read_image_ids(config.root / f"{split}.txt", f"{key}.root", _HINT)

    if config.image_list is None:
        return own_list(config.split), f"{key}.root: {config.root / config.split}.txt"
    where = f"{key}.image_list"
    listed = read_image_ids(config.image_list, where, _LIST_HINT)
    # SBD's training images are partly VOC's for validation, and the reverse.
    annotated = {*own_list("train"), *own_list("val")}
    image_ids = [image_id for image_id in listed if image_id in annotated]
    if not image_ids:
        raise UserError(f"{where}: {config.image_list}: SBD has none of these {len(listed)} images; {_LIST_HINT}")
    return image_ids, f"{where}: {config.image_list}"


def _read_instances(folder, image_id):
    path = folder / f"{image_id}.mat"
    # Unsqueezed, a MATLAB struct is an array [1, 1] of records whose fields are arrays of two dimensions or more.
    struct = _read_struct(path)
    for field in ("Segmentation", "Categories"):
        if field not in (struct.dtype.names or ()) or struct.shape != (1, 1):
            raise _wrong(path, f"GTinst has no field {field}; expected one MATLAB struct as in SBD's inst")
    numbers = _integers(struct["Segmentation"][0, 0], path, "Segmentation")
    labels = _integers(struct["Categories"][0, 0], path, "Categories").ravel().tolist()
    if numbers.ndim != 2 or not numbers.size:
        raise _wrong(path, f"GTinst.Segmentation has shape {numbers.shape}; expected [height, width]")
    if numbers.min() < 0 or numbers.max() > len(labels):
        found = f"GTinst.Segmentation has values from {numbers.min()} to {numbers.max()}"
        raise _wrong(path, f"{found}; expected 0 to {len(labels)}, as many instances as GTinst.Categories has")
    return NumberedInstances(path, numbers, dict(enumerate(labels, start=1)))


def _read_struct(path):
    try:
        with open(path, "rb") as file:
            content = scipy.io.loadmat(file, variable_names=["GTinst"])
    except FileNotFoundError:
        raise Unusable("masks without a file", f"{path}: no such file") from None
    except Exception as error:
        # Of a file that was cut off or is something else, scipy raises whatever its parser runs into.
        problem = " ".join(str(error).split()) or type(error).__name__
        raise _wrong(path, f"not a MATLAB file that can be read: {problem}") from None
    if "GTinst" not in content:
        raise _wrong(path, "has no variable GTinst; expected a file of SBD's folder inst")
    return content["GTinst"]


def _integers(array, path, field):
    """Returns an array as integers; MATLAB may have kept them as doubles."""
    if isinstance(array, np.ndarray) and array.dtype.kind == "f" and (array == np.floor(array)).all():
        array = array.astype(np.int64)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iu":
        raise _wrong(path, f"GTinst.{field}: expected an array of whole numbers")
    return array


def _wrong(path, problem):
    return Unusable("masks that cannot be read", f"{path}: {problem}")
