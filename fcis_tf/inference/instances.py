"""The instances of an image at its own resolution: what prediction and evaluation hand out."""

from typing import Any, NamedTuple

from fcis_tf.inference.leave_out_empty import leave_out_empty
from fcis_tf.ops import render_masks


class Instances(NamedTuple):
    """The instances found in one image, in order of falling score; tensors or NumPy arrays.

    Attributes:
        boxes: [D, 4] float32 (ymin, xmin, ymax, xmax), half-open, in pixels of the image: the tight boxes of the masks,
            which is what the paper evaluates as boxes, unless the regions of interest themselves are asked for.
        classes: [D] int32 in 1..C.
        scores: [D] float32.
        masks: [D, H, W] bool, each with at least one pixel.
    """

    boxes: Any
    classes: Any
    scores: Any
    masks: Any


def render_instances(detections, image_size, inference_config):
    """Renders the detections of one image at the image's resolution.

    Args:
        detections: what `find_detections` returns, of one image: without the leading dimension.
        image_size: [2] int32, height and width of the image in whose pixels they are.
        inference_config: an InferenceConfig; gives `binary_threshold`, `threshold_first`, and `boxes`, whether the
            instances' boxes are those of their masks or of the detections.

    Returns:
        Instances of tensors. Detections whose masks are empty, such as those smaller than a pixel, are left out.
    """
    count = detections["num_detections"]
    mask_boxes, masks = render_masks(
        detections["roi_masks"],
        detections["rois"],
        detections["votes"][:count],
        image_size,
        binary_threshold=inference_config.binary_threshold,
        threshold_first=inference_config.threshold_first,
    )
    boxes = mask_boxes if inference_config.boxes == "masks" else detections["boxes"][:count]
    classes, scores = detections["classes"][:count], detections["scores"][:count]
    _, *kept = leave_out_empty(mask_boxes, boxes, classes, scores, masks)
    return Instances(*kept)
