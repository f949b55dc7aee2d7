"""Detections in the form that the TensorFlow Object Detection API has made usual, in the graph."""

import tensorflow as tf

from fcis_tf.inference.leave_out_empty import leave_out_empty
from fcis_tf.ops import render_box_masks


def serving_outputs(detections, image_size, class_names, mask_size, inference_config):
    """Renders the detections of one image and brings them into the form of a server's answer.

    Detections whose masks are empty, such as those smaller than a pixel, are left out.

    Args:
        detections: what `find_detections` returns, of one image: without the leading dimension.
        image_size: [2] int32, height and width of the image in whose pixels they are.
        class_names: the names of labels 1 to C.
        mask_size: M.
        inference_config: the InferenceConfig that they were found with.

    Returns:
        What `serving_output_specs` describes.
    """
    count = detections["num_detections"]
    boxes, masks = render_box_masks(
        detections["roi_masks"],
        detections["rois"],
        detections["votes"][:count],
        image_size,
        mask_size,
        binary_threshold=inference_config.binary_threshold,
        threshold_first=inference_config.threshold_first,
    )
    classes, scores = detections["classes"][:count], detections["scores"][:count]
    boxes, masks, classes, scores = leave_out_empty(boxes, masks, classes, scores)
    values = {
        "detection_boxes": boxes / tf.tile(tf.cast(image_size, tf.float32), [2]),
        "detection_classes": tf.cast(classes, tf.float32),
        "detection_class_entities": tf.gather(tf.constant(["", *class_names]), classes),
        "detection_masks": masks,
        "detection_scores": scores,
    }
    specs = serving_output_specs(inference_config.max_detections, mask_size)
    padded = {name: _padded(value, specs[name].shape) for name, value in values.items()}
    return padded | {"num_detections": tf.cast(tf.size(classes), tf.float32)}


def serving_output_specs(max_detections, mask_size):
    """Describes the answer for one image.

    Args:
        max_detections: D; behind the detections, which are in order of falling score, come padding of zeros and "".
        mask_size: M.

    Returns:
        A dict of tf.TensorSpec:
            detection_boxes: [D, 4] float32 (ymin, xmin, ymax, xmax), the tight boxes of the masks, in 0..1 of the
                image's height and width.
            detection_class_entities: [D] string, the names of the classes.
            detection_classes: [D] float32, the classes 1 to C.
            detection_masks: [D, M, M] float32 in 0..1, the fraction that the mask covers of each cell of a grid over
                the box. Resized bilinearly to the box and compared with 0.5 it is the mask again.
            detection_scores: [D] float32, the probabilities of the classes.
            num_detections: [] float32, how many of the D are no padding.
    """
    count = max_detections
    return {
        "detection_boxes": tf.TensorSpec([count, 4]),
        "detection_class_entities": tf.TensorSpec([count], tf.string),
        "detection_classes": tf.TensorSpec([count]),
        "detection_masks": tf.TensorSpec([count, mask_size, mask_size]),
        "detection_scores": tf.TensorSpec([count]),
        "num_detections": tf.TensorSpec([]),
    }


def _padded(values, shape):
    padding = [[0, shape[0] - tf.shape(values)[0]]] + [[0, 0]] * (len(shape) - 1)
    zero = tf.zeros([], values.dtype)
    return tf.ensure_shape(tf.pad(values, padding, constant_values=zero), shape)
