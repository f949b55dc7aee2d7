"""Whether there are instances to learn from, each of them once."""

import numpy as np

from fcis_tf.data.checks.content import as_id
from fcis_tf.data.checks.finding import Finding, level_of


def check_crowds(content, config):
    """Annotations that are all crowd regions."""
    if len(content.is_crowd) and content.is_crowd.all():
        yield Finding(
            "error",
            f"all {len(content.is_crowd)} annotations have iscrowd 1: there is nothing to learn from or to evaluate",
            "Write iscrowd 0 for single instances; 1 says that a region holds many that aren't told apart",
            content.describe(0),
        )


def check_duplicates(content, config):
    """The same instance several times."""
    seen, repeated = set(), np.zeros(len(content.annotations), bool)
    boxes = np.where(np.isfinite(content.boxes), content.boxes, content.mask_boxes).round(1)
    for i, annotation in enumerate(content.annotations):
        extent = boxes[i].tobytes(), content.mask_boxes[i].tobytes()
        name = content.rows[i], as_id(annotation.get("category_id")), *extent
        repeated[i] = name in seen and content.rows[i] >= 0 and np.isfinite(boxes[i]).all()
        seen.add(name)
    if repeated.any():
        yield Finding(
            level_of(repeated.sum(), len(repeated)),
            f"{repeated.sum()} of {len(repeated)} annotations repeat the class, box and mask of another in their image",
            "Delete the copies: of two equal instances only one can be found, and the other counts as missed",
            content.first(repeated),
        )
