"""The instances of an image at its own resolution: what prediction and evaluation hand out."""

from typing import Any, NamedTuple

import tensorflow as tf

from fcis_tf.inference.leave_out_empty import leave_out_empty
from fcis_tf.ops import render_masks


class Instances(NamedTuple):
    """The instances found in one image, in order of falling score; tensors or NumPy arrays.

    Attributes:
        boxes: [D, 4] float32 (ymin, xmin, ymax, xmax), half-open, in pixels of the image: the tight boxes of the masks,
            which is what the paper evaluates as boxes.
        classes: [D] int32 in 1..C.
        scores: [D] float32.
        masks: [D, H, W] bool, each with at least one pixel.
    """

    boxes: Any
    classes: Any
    scores: Any
    masks: Any


# Any number of detections in an image of any size: all share one graph.
_DETECTIONS = {
    "boxes": tf.TensorSpec([None, 4]),
    "scores": tf.TensorSpec([None]),
    "classes": tf.TensorSpec([None], tf.int32),
    "num_detections": tf.TensorSpec([], tf.int32),
    "rois": tf.TensorSpec([None, 4]),
    "roi_masks": tf.TensorSpec([None, None, None]),
    "votes": tf.TensorSpec([None, None]),
}
_SIZE = tf.TensorSpec([2], tf.int32)


def instance_renderer(binary_threshold, threshold_first):
    """Compiles `render_instances` for given thresholds.

    Args:
        binary_threshold, threshold_first: see `render_instances`.

    Returns:
        A function of the `detections` and `image_size` of `render_instances` that returns what it does.
    """

    @tf.function(input_signature=[_DETECTIONS, _SIZE])
    def render(detections, image_size):
        return render_instances(detections, image_size, binary_threshold, threshold_first)

    return render


def render_instances(detections, image_size, binary_threshold, threshold_first):
    """Renders the detections of one image at the image's resolution.

    Args:
        detections: what `find_detections` returns, of one image: without the leading dimension.
        image_size: [2] int32, height and width of the image in whose pixels they are.
        binary_threshold: pixels of greater probability are the instance's.
        threshold_first: see `render_masks`; a Python bool.

    Returns:
        Instances of tensors. Detections whose masks are empty, such as those smaller than a pixel, are left out.
    """
    count = detections["num_detections"]
    rois, votes = detections["rois"], detections["votes"][:count]
    thresholding = {"binary_threshold": binary_threshold, "threshold_first": threshold_first}
    boxes, masks = render_masks(detections["roi_masks"], rois, votes, image_size, **thresholding)
    classes, scores = detections["classes"][:count], detections["scores"][:count]
    return Instances(*leave_out_empty(boxes, classes, scores, masks))
