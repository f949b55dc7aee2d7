"""The native operators: loading the library that `fcis_tf.ops.build` makes, and their gradients."""

import functools
import hashlib
import json
import warnings
from pathlib import Path

import tensorflow as tf

LIBRARY = Path(__file__).parent / "lib" / "operators.so"


def built_for_path(library):
    """Returns the path of the file beside a library that holds its TensorFlow's version and its checksum."""
    return library.with_suffix(".json")


def ps_roi_pool(features, boxes, box_indices, group_size, pooled_size, stride):
    """See `fcis_tf.ops.ps_roi_pool`."""
    return _library().fcis_tf_ps_roi_pool(
        features, boxes, box_indices, group_size=group_size, pooled_size=pooled_size, stride=stride
    )


def ps_assemble(score_maps, boxes, box_indices, labels, group_size, pooled_size, stride):
    """See `fcis_tf.ops.ps_assemble`."""
    class_logits, mask_logits, _ = _library().fcis_tf_ps_assemble(
        score_maps,
        boxes,
        box_indices,
        labels=[] if labels is None else labels,
        best_class=labels is None,
        group_size=group_size,
        pooled_size=pooled_size,
        stride=stride,
    )
    return class_logits, mask_logits


def render_masks(roi_masks, rois, votes, image_size, binary_threshold, threshold_first):
    """See `fcis_tf.ops.render_masks`."""
    return _library().fcis_tf_render_masks(
        roi_masks, rois, votes, image_size, binary_threshold, threshold_first=threshold_first
    )


def render_box_masks(roi_masks, rois, votes, image_size, mask_size, binary_threshold, threshold_first):
    """See `fcis_tf.ops.render_box_masks`."""
    return _library().fcis_tf_render_box_masks(
        roi_masks, rois, votes, image_size, binary_threshold, threshold_first=threshold_first, mask_size=mask_size
    )


@functools.cache
def reason_for_absence():
    """Returns why the native operators cannot be used, or None where they can."""
    try:
        checksum = hashlib.sha256(LIBRARY.read_bytes()).hexdigest()
        built_for = json.loads(built_for_path(LIBRARY).read_text())
        tensorflow, expected_checksum = built_for["tensorflow"], built_for["sha256"]
    except OSError as error:
        return f"they were not built: {error.filename} is missing"
    except (ValueError, KeyError, TypeError):
        return f"{built_for_path(LIBRARY)} is damaged"
    if tensorflow != tf.__version__:
        return f"they were built for TensorFlow {tensorflow}, and this is {tf.__version__}"
    # Loading half a library would end the program.
    if checksum != expected_checksum:
        return f"{LIBRARY} is damaged: it is not what was built"
    try:
        _library()
    except (tf.errors.OpError, OSError) as error:
        return f"{LIBRARY} cannot be loaded: {error}"
    return None


@functools.cache
def is_available():
    """Returns whether the native operators can be used; warns once where they cannot."""
    reason = reason_for_absence()
    if reason:
        warnings.warn(
            f"fcis_tf runs on its slower, portable operators: the native ones cannot be used, since {reason}. "
            "`make setup`, or `python -m fcis_tf.ops.build`, builds them.",
            stacklevel=2,
        )
    return reason is None


@functools.cache
def _library():
    return tf.load_op_library(str(LIBRARY))


def _sizes(operation):
    return {name: operation.get_attr(name) for name in ("group_size", "pooled_size", "stride")}


# A mask is a comparison, which has no gradient.
tf.no_gradient("FcisTf>RenderMasks")
tf.no_gradient("FcisTf>RenderBoxMasks")


@tf.RegisterGradient("FcisTf>PsRoiPool")
def _pool_gradient(operation, output_gradient):
    features, boxes, box_indices = operation.inputs
    gradient = _library().fcis_tf_ps_roi_pool_grad(
        tf.shape(features), boxes, box_indices, output_gradient, **_sizes(operation)
    )
    return gradient, None, None


@tf.RegisterGradient("FcisTf>PsRoiPoolGrad")
def _pool_gradients_gradient(operation, features_gradient):
    # Pooling is linear: the gradient of its gradient is pooling.
    _, boxes, box_indices, _ = operation.inputs
    pooled = _library().fcis_tf_ps_roi_pool(features_gradient, boxes, box_indices, **_sizes(operation))
    return None, None, None, pooled


@tf.RegisterGradient("FcisTf>PsAssemble")
def _assemble_gradient(operation, class_logits_gradient, mask_logits_gradient, _):
    score_maps, boxes, box_indices, _ = operation.inputs
    gradient = _library().fcis_tf_ps_assemble_grad(
        score_maps,
        boxes,
        box_indices,
        operation.outputs[2],
        class_logits_gradient,
        mask_logits_gradient,
        **_sizes(operation),
    )
    return gradient, None, None, None
