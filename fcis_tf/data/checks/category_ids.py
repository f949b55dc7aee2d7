"""Whether annotations and categories fit."""

from collections import Counter

import numpy as np

from fcis_tf.data.checks.content import as_id
from fcis_tf.data.checks.finding import Finding, level_of, listed

_NO_MEANING = "", "Correct them, or add what is missing to categories"
_NEARLY_ALL = 0.9

_BACKGROUND_NAMES = ("background", "__background__", "_background_", "bg")


def check_category_ids(content, config):
    """Category ids that are missing or that no category has, and what they may have been meant as."""
    used = [as_id(annotation.get("category_id")) for annotation in content.annotations]
    missing = np.array([category_id is None for category_id in used], bool)
    if missing.any():
        yield Finding(
            level_of(missing.sum(), len(missing)),
            f"{missing.sum()} of {len(missing)} annotations have no category_id",
            "Write the id of its category into each, or delete them: they are left out",
            content.first(missing),
        )
    ids = [as_id(category.get("id")) for category in content.categories]
    unknown = ~missing & np.array([category_id not in ids for category_id in used], bool)
    if not content.categories or not unknown.any():
        return
    meaning, advice = _meaning(set(used) - {None}, content.categories, ids, unknown.mean())
    strangers = sorted({str(used[i]) for i in np.flatnonzero(unknown)})
    yield Finding(
        "error",
        f"{unknown.sum()} of {len(used)} annotations have a category_id that isn't in categories, such as "
        f"{listed(strangers, 3)}{meaning}",
        advice,
        content.first(unknown),
    )


def check_categories(content, config):
    """Categories that are no classes: the background, names that stand there twice, classes without an instance."""
    ids = Counter(as_id(category.get("id")) for category in content.categories)
    repeated = [category_id for category_id, count in ids.items() if count > 1 and category_id is not None]
    if repeated:
        yield Finding(
            "error",
            f"several categories have the same id: {listed(repeated)}",
            "Give each category an id of its own, and write it as category_id of its annotations",
        )
    names = content.class_names
    for name in names:
        if isinstance(name, str) and name.strip().lower() in _BACKGROUND_NAMES:
            yield Finding(
                "warning",
                f"there is a category {name!r}, which would be a class to find like any other",
                "Take it out of categories: the network has a background of its own",
            )
    twice = [name for name, count in Counter(map(str, names)).items() if count > 1]
    if twice:
        yield Finding(
            "warning",
            f"several categories have the same name: {listed(twice)}",
            "Give each class one category; the network learns them as different classes",
        )
    used = {as_id(annotation.get("category_id")) for annotation in content.annotations}
    unused = [category.get("name") for category in content.categories if as_id(category.get("id")) not in used]
    if unused and content.annotations and len(unused) < len(names):
        yield Finding(
            "warning",
            f"{len(unused)} of {len(names)} classes have no instance: {listed(unused)}",
            "Nothing can be learned or measured of them: take them out of categories, or add the missing labels",
        )


def _meaning(used, categories, ids, unknown):
    """Guesses what category ids are that don't fit; returns the end of the message and the advice.

    Args:
        used: set of all category ids of annotations.
        categories: list of dicts.
        ids: list of their ids.
        unknown: the part of annotations whose category id is none of these.
    """
    known = set(ids) - {None}
    if all(isinstance(value, str) for value in used):
        if {number_of(value) for value in used} <= known:
            return ", which are the same as numbers", "Write every category_id as a number, without quotes"
        if used <= {str(category.get("name")) for category in categories}:
            return ", whose names these are", "Write the category's id instead of its name as category_id"
    # Ids that stand there twice, or a few stray annotations, are no reason to change all others.
    if not all(isinstance(value, int | float) for value in used) or len(known) < len(ids):
        return _NO_MEANING
    for shift in (1, -1):
        if {value + shift for value in used} <= known:
            start = "; the ids in categories start at 0" if 0 in known else ""
            verb = "Add 1 to" if shift == 1 else "Subtract 1 from"
            if unknown > _NEARLY_ALL:
                return f": all are off by one{start}", f"{verb} every category_id; then every one is in categories"
            # Of ids without gaps most are known even if all are off by one.
            advice = f"{verb} every category_id if fcis_tf.data.view shows wrong names, else correct these alone"
            return f": all would fit if all are off by one{start}", advice
    for start in (0, 1) if unknown > _NEARLY_ALL else ():
        if used <= set(range(start, len(categories) + start)):
            return (
                f": they are positions in the list categories, counted from {start}",
                "Replace every category_id by the id of the category at that position",
            )
    return _NO_MEANING


def number_of(text):
    """Returns the whole number that a text stands for, None for other texts."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None
