"""Whether the data sets for training and for evaluation fit each other."""

from fcis_tf.data.checks.content import as_id
from fcis_tf.data.checks.finding import Finding, listed


def check_classes_equal(train, evaluation, config):
    """Classes that differ, or come in another order."""
    names, others = train.class_names, evaluation.class_names
    if not names or not others or names == others:
        return
    if sorted(map(str, names)) == sorted(map(str, others)):
        i = next(i for i, name in enumerate(names) if name != others[i])
        message = (
            f"the same classes are in another order: class {i + 1} is {names[i]!r} in one, {others[i]!r} in the other"
        )
    else:
        only = [[n for n in map(str, a) if n not in set(map(str, b))] for a, b in ((names, others), (others, names))]
        message = "the classes differ" + "".join(
            f"; {len(extra)} only in {where}: {listed(extra)}"
            for extra, where in zip(only, (train.key, evaluation.key), strict=True)
            if extra
        )
    yield Finding(
        "error",
        message,
        "Give both files the same categories with the same ids: classes are numbered in the order of their ids",
    )


def check_classes_learned(train, evaluation, config):
    """Classes that are evaluated but never seen in training."""
    counted = [_names_with_instances(content) for content in (train, evaluation)]
    unseen = sorted(counted[1] - counted[0])
    if counted[0] and unseen:
        yield Finding(
            "warning",
            f"{len(unseen)} classes have instances in {evaluation.key}, but none in {train.key}: {listed(unseen)}",
            f"Their AP stays 0: move images that show them to {train.key}, or take them out of both",
        )


def check_images_differ(train, evaluation, config):
    """Images that are trained on and evaluated too."""
    if train.config == evaluation.config:
        shared, total = len(evaluation.images), len(evaluation.images)
    else:
        paths = [{content.path(row) for row in range(len(content.images))} - {None} for content in (train, evaluation)]
        paths = [{path.resolve() for path in group} for group in paths]
        shared, total = len(paths[0] & paths[1]), len(evaluation.images)
    if shared:
        yield Finding(
            "warning",
            f"{shared} of {total} images of {evaluation.key} are those of {train.key} as well",
            "Keep some images for evaluation only: metrics on trained images say nothing about others",
        )


def _names_with_instances(content):
    names = {as_id(category.get("id")): str(category.get("name")) for category in content.categories}
    used = (as_id(content.annotations[i].get("category_id")) for i in (~content.is_crowd).nonzero()[0])
    return {names[category_id] for category_id in used if category_id in names}
