"""Reading and checking annotations in COCO's JSON format."""

import os
from itertools import pairwise
from pathlib import PurePosixPath

from tqdm import tqdm

from fcis_tf.data.annotated_images import AnnotatedImages
from fcis_tf.data.coco_annotation import clean_annotation
from fcis_tf.data.coco_file import read_coco_file
from fcis_tf.data.problems import Problems, Unusable
from fcis_tf.errors import UserError
from fcis_tf.printable import is_encodable

DOWNLOAD_HINT = (
    "expected images and their annotations in COCO's JSON format. COCO: https://cocodataset.org/#download; "
    "PASCAL VOC's and SBD's own files are read by the formats voc and sbd"
)

# TensorFlow's int64 and int32.
_LARGEST_ID = 2**63 - 1
_LARGEST_SIDE = 2**31 - 1


def read_coco(config, key, strict):
    """Reads an annotation file.

    An annotation without a pixel in its image, such as a polygon that lies wholly outside, is left out of training and
    of the ground truth alike, though pycocotools would count it as one more instance that isn't found. Of images with
    the same id the first is kept; annotations with the same id are all kept, since files that were joined have such.

    Args:
        config: CocoDataset.
        key: where in the configuration it stands.
        strict: whether an annotation or an image that cannot be used as it is is an error.

    Returns:
        AnnotatedImages.

    Raises:
        UserError: a file is missing, or isn't COCO JSON, or no image is left that can be used.
    """
    where = f"{key}.annotations: {config.annotations}"
    content = _read_lists(config.annotations, where)
    categories = _read_categories(content["categories"], where)
    if not config.images.is_dir():
        raise UserError(f"{key}.images: {config.images}: no such folder; {DOWNLOAD_HINT}")
    problems = Problems(where, strict)
    images = _read_images(content["images"], config.images, config.max_images, problems)
    problems.check_something_is_left(images)
    annotations = _read_annotations(content, images, categories, problems)
    paths = [config.images / image["file_name"] for image in images]
    return AnnotatedImages(images, paths, annotations, categories, problems)


def _read_lists(path, where):
    content = read_coco_file(path, where, DOWNLOAD_HINT)
    lists = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in lists):
        raise UserError(f"{where}: not COCO JSON: expected an object with the lists {', '.join(lists)}")
    return content


def _read_categories(entries, where):
    """Checks the categories and returns them sorted by id."""
    if not entries:
        raise UserError(f"{where}: the list categories is empty")
    for i, entry in enumerate(entries):
        try:
            _check_types(entry, {"id": int, "name": str})
            _check_id_range(entry)
            if not is_encodable(entry["name"]):
                raise Unusable("names that are no text", f"the name {entry['name']!r} cannot be written as UTF-8")
        except Unusable as problem:
            raise UserError(f"{where}: categories[{i}]: {problem}") from None
    entries = sorted(entries, key=lambda entry: entry["id"])
    for entry, following in pairwise(entries):
        if entry["id"] == following["id"]:
            raise UserError(f"{where}: categories: id {entry['id']} stands there twice")
    return entries


def _read_images(entries, folder, max_images, problems):
    """Returns the images that can be used, sorted by id."""
    if not entries:
        raise UserError(f"{problems.origin}: the list images is empty")
    images = {}
    for i, entry in enumerate(entries):
        try:
            _check_image(entry)
            if entry["id"] in images:
                raise Unusable("image ids that stand there twice", f"id {entry['id']} stands there twice")
            images[entry["id"]] = entry
        except Unusable as problem:
            problems.report(problem.kind, f"images[{i}]: {problem}", of="images")
    wanted = [images[image_id] for image_id in sorted(images)][: max_images or None]
    return [image for image in wanted if _has_file(image, folder, problems)]


def _has_file(image, folder, problems):
    path = folder / image["file_name"]
    if not os.path.isfile(path):
        problems.report("images without a file", f"image id {image['id']} has no file {path}", of="images")
        return False
    return True


def _check_image(entry):
    _check_types(entry, {"id": int, "file_name": str, "height": int, "width": int})
    _check_id_range(entry)
    if not all(1 <= side <= _LARGEST_SIDE for side in (entry["height"], entry["width"])):
        detail = f"image id {entry['id']}: height and width must be from 1 to {_LARGEST_SIDE}"
        raise Unusable("images of an impossible size", detail)
    if "\0" in entry["file_name"] or not is_encodable(entry["file_name"]):
        detail = f"image id {entry['id']}: {entry['file_name']!r} cannot be the name of a file"
        raise Unusable("impossible file names", detail)
    file_name = PurePosixPath(entry["file_name"])
    if file_name.is_absolute() or ".." in file_name.parts:
        detail = f"image id {entry['id']}: {entry['file_name']!r} lies outside of the images folder"
        raise Unusable("file names that leave the images folder", detail)


def _check_types(entry, types):
    for field, expected in types.items():
        if not isinstance(entry, dict) or not isinstance(entry.get(field), expected):
            detail = f"not COCO JSON: expected an object with {field} of type {expected.__name__}"
            raise Unusable("entries that are not COCO's", detail)


def _check_id_range(entry):
    if abs(entry["id"]) > _LARGEST_ID:
        raise Unusable("ids that are too large", f"expected an id of at most {_LARGEST_ID}")


def _read_annotations(content, images, categories, problems):
    """Returns the annotations of images, as far as they can be used."""
    images = {image["id"]: image for image in images}
    # Those of images that are left out are no problem of their own.
    listed = {entry["id"] for entry in content["images"] if isinstance(entry, dict) and _is_id(entry.get("id"))}
    known_categories = {category["id"] for category in categories}
    annotations, ids = [], set()
    for i, entry in enumerate(tqdm(content["annotations"], "Checking annotations", delay=2, leave=False)):

        def report(kind, detail, remedy="skipped", place=i):
            problems.report(kind, f"annotations[{place}]: {detail}", remedy)

        try:
            _check_references(entry, listed, known_categories)
            if entry["image_id"] not in images:
                continue
            annotations.append(clean_annotation(entry, images[entry["image_id"]], report))
        except Unusable as problem:
            report(problem.kind, problem.detail)
            continue
        _check_id(entry.get("id"), ids, report)
    return annotations


def _check_id(annotation_id, earlier, report):
    """Reports an id that isn't one, and adds it to the earlier ones; annotations may have none."""
    if annotation_id is None:
        return
    if not _is_id(annotation_id):
        report("annotation ids that are no whole numbers", f"expected an id, found {annotation_id!r:.40}", "renumbered")
    elif annotation_id in earlier:
        report("annotation ids that stand there twice", f"id {annotation_id} stands there twice", "renumbered")
    else:
        earlier.add(annotation_id)


def _check_references(entry, images, categories):
    _check_types(entry, {"image_id": int, "category_id": int})
    if entry["image_id"] not in images:
        raise Unusable("annotations of unknown images", f"image id {entry['image_id']} isn't in the list images")
    if entry["category_id"] not in categories:
        detail = f"category id {entry['category_id']} isn't in the list categories"
        raise Unusable("annotations of unknown categories", detail)


def _is_id(value):
    return isinstance(value, int)
