"""Whether annotations and images fit."""

from collections import Counter
from pathlib import PurePath

import numpy as np

from fcis_tf.data.checks.category_ids import number_of
from fcis_tf.data.checks.content import as_id
from fcis_tf.data.checks.finding import Finding, level_of, listed


def check_images(content, config):
    """A data set without images or without annotations."""
    # A file that cannot be read at all has neither.
    is_read = content.categories or not content.refusal
    if is_read and not content.images:
        yield Finding("error", "there are no images", "Name a data set that has some")
    elif content.images and not content.annotations:
        yield Finding("error", "there are no annotations", "Name a file that has some; without, nothing is to be found")


def check_file_names(content, config):
    """File names that are no paths within the folder of images, or that stand there twice."""
    names = [image.get("file_name") for image in content.images]
    names = [name for name in names if isinstance(name, str)]
    for kind, sign in (("URLs", "://"), ("paths with backslashes", "\\")):
        faulty = [name for name in names if sign in name]
        if faulty:
            advice = "Write each file_name as a path within the folder of images, with forward slashes"
            yield Finding("warning", f"{len(faulty)} of {len(names)} file names are {kind}", advice, faulty[0])
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        yield Finding(
            "warning",
            f"{len(repeated)} files are those of several images",
            "Merge these images into one, with the annotations of all: each instance counts as often as its image",
            repeated[0],
        )


def check_image_ids(content, config):
    """Image ids that no image has, and what they may have been meant as."""
    unknown = content.rows < 0
    if not content.images or not unknown.any():
        return
    used = {as_id(annotation.get("image_id")) for annotation in content.annotations} - {None}
    meaning, advice = _meaning(used, content.images, set(content.image_ids))
    without = len(content.images) - len(np.unique(content.rows[~unknown]))
    strangers = sorted({str(content.annotations[i].get("image_id")) for i in np.flatnonzero(unknown)})
    yield Finding(
        level_of(unknown.sum(), len(unknown)) if not meaning else "error",
        f"{unknown.sum()} of {len(unknown)} annotations have an image_id that isn't in images, such as "
        f"{listed(strangers, 3)}, and {without} of {len(content.images)} images have no annotation{meaning}",
        advice,
        content.first(unknown),
    )


def _meaning(used, images, known):
    """Guesses what image ids are that don't fit; returns the end of the message and the advice."""
    texts = {value for value in used if isinstance(value, str)}
    if texts and {number_of(value) if isinstance(value, str) else value for value in used} <= known:
        return ": they are numbers in quotes", "Write every image_id as a number, without quotes"
    texts_known = {value for value in known if isinstance(value, str)}
    if used and used <= {number_of(value) for value in texts_known}:
        return ": the ids in images are numbers in quotes", "Write every id in images as a number, without quotes"
    names = {image.get("file_name") for image in images if isinstance(image.get("file_name"), str)}
    if texts and texts <= names | {PurePath(name).stem for name in names}:
        return ": they are file names", "Write the id of the image with that file_name as image_id"
    for shift in (1, -1) if used and not texts else ():
        if {value + shift for value in used} <= known:
            verb = "Add 1 to" if shift == 1 else "Subtract 1 from"
            return ": all are off by one", f"{verb} every image_id; then every one is in images"
    return "", "Correct them, or add the images that are missing: lists of different data sets may have been mixed"
