"""Known causes of a network that learns nothing, looked for in the data sets of a configuration.

A check is a function of a Content and the Config, or of the Contents for training and for evaluation and the Config,
that yields Findings. To add one, write it and name it in one of the lists here.
"""

from itertools import chain

from fcis_tf.data.checks.anchors import check_anchors
from fcis_tf.data.checks.boxes import check_boxes, check_boxes_in_image, check_normalised
from fcis_tf.data.checks.category_ids import check_categories, check_category_ids
from fcis_tf.data.checks.content import Content
from fcis_tf.data.checks.finding import Finding
from fcis_tf.data.checks.image_files import check_image_files
from fcis_tf.data.checks.image_ids import check_file_names, check_image_ids, check_images
from fcis_tf.data.checks.instances import check_crowds, check_duplicates
from fcis_tf.data.checks.masks import check_mask_places, check_mask_sizes, check_masks, check_rectangles
from fcis_tf.data.checks.reader import check_reader
from fcis_tf.data.checks.splits import check_classes_equal, check_classes_learned, check_images_differ

__all__ = ["Content", "Finding", "find_faults"]

_OF_ONE = (
    check_images,
    check_file_names,
    check_category_ids,
    check_image_ids,
    check_normalised,
    check_boxes,
    check_boxes_in_image,
    check_masks,
    check_mask_sizes,
    check_mask_places,
    check_rectangles,
    check_crowds,
    check_duplicates,
    check_categories,
    check_anchors,
    check_reader,
)
_OF_BOTH = (check_classes_equal, check_classes_learned, check_images_differ)


def find_faults(train, evaluation, config, max_images=None):
    """Runs all checks.

    Args:
        train, evaluation: Contents of data.train and data.eval.
        config: Config.
        max_images: how many images of each data set to decode; None for all.

    Returns:
        A dict from Findings, errors first, to the keys of the data sets that they are about, such as "data.train".
    """
    found = {}
    for content in (train, evaluation):
        checked = chain(*(check(content, config) for check in _OF_ONE), check_image_files(content, config, max_images))
        findings = list(checked)
        # The reader stops at the first fault that it cannot do without, which another check may have named better.
        if content.refusal and not any(finding.level == "error" for finding in findings):
            advice = "Correct this first: neither training nor evaluation starts"
            findings.append(Finding("error", f"the data set cannot be loaded: {content.refusal}", advice))
        for finding in findings:
            found.setdefault(finding, []).append(content.key)
    for check in _OF_BOTH:
        found |= {finding: [train.key, evaluation.key] for finding in check(train, evaluation, config)}
    # "error" comes before "warning" in the alphabet too.
    return dict(sorted(found.items(), key=lambda pair: pair[0].level))
