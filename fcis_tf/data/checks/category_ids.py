"""Whether annotations and categories fit."""

from collections import Counter

import numpy as np

from fcis_tf.data.checks.content import as_id
from fcis_tf.data.checks.finding import Finding, listed

_BACKGROUND_NAMES = ("background", "__background__", "_background_", "bg")


def check_category_ids(content, config):
    """Category ids that no category has, and what they may have been meant as."""
    known = {as_id(category.get("id")) for category in content.categories} - {None}
    used = [as_id(annotation.get("category_id")) for annotation in content.annotations]
    unknown = np.array([category_id not in known for category_id in used], bool)
    if not unknown.any():
        return
    meaning, advice = _meaning(set(used) - {None}, content.categories, known)
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


def _meaning(ids, categories, known):
    """Guesses what category ids are that don't fit; returns the end of the message and the advice."""
    numbers = all(isinstance(value, int | float) for value in ids)
    if ids and all(isinstance(value, str) for value in ids):
        if {number_of(value) for value in ids} <= known:
            return ", which are the same as numbers", "Write every category_id as a number, without quotes"
        if ids <= {str(category.get("name")) for category in categories}:
            return ", whose names these are", "Write the category's id instead of its name as category_id"
    for shift in (1, -1) if ids and numbers else ():
        if {value + shift for value in ids} <= known:
            start = "; the ids in categories start at 0" if 0 in known else ""
            verb = "Add 1 to" if shift == 1 else "Subtract 1 from"
            return f": all are off by one{start}", f"{verb} every category_id; then every one is in categories"
    for start in (0, 1) if ids and numbers else ():
        if ids <= set(range(start, len(categories) + start)):
            return (
                f": they are positions in the list categories, counted from {start}",
                "Replace every category_id by the id of the category at that position",
            )
    return "", "Correct them, or add what is missing to categories"


def number_of(text):
    """Returns the whole number that a text stands for, None for other texts."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None
