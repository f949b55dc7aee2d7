"""The position-sensitive operators: their meaning, their arguments and their checks.

Score maps and other position-sensitive features are channels-last, and one cell of the k x k grid owns a
contiguous run of channels: channel = (gy * k + gx) * D + d.

Both operators run in functions whose shapes are only known later, and in graphs of every kind but XLA's: with
jit_compile=True TensorFlow refuses the native ones by name.
"""

import math

import tensorflow as tf

from fcis_tf.ops.implementation import operators


def ps_roi_pool(features, boxes, box_indices, *, group_size, pooled_size, stride, implementation=None):
    """Position-sensitive RoI pooling (R-FCN section 2.1, as MXNet's PSROIPooling computes it).

    A box is divided into P x P bins. The value of bin (i, j) is the mean, over the cells of the map which the bin
    touches, of the D channels of grid cell (i * k // P, j * k // P). An empty bin is 0, and so are all bins of a box
    with an edge that is infinite or NaN, or with a side that is more than float32 can hold.

    Args:
        features: [N, H, W, k * k * D] float32, float16 or bfloat16.
        boxes: [R, 4] float32, (ymin, xmin, ymax, xmax) in pixels of the image that `features` were computed from.
        box_indices: [R] int32, the image of the batch that each box lies in.
        group_size: k.
        pooled_size: P, a multiple of k; at most 1024 for native operators.
        stride: pixels of the image per cell of the map.
        implementation: "native" (C++ and CUDA), "portable" (stock TensorFlow operators), or None for native where it
            is built, unless `use_implementation` says otherwise.

    Returns:
        [R, P, P, D] of the dtype of `features`. Sums are computed in float32. Differentiable in `features`.

    Raises:
        ValueError: an argument's rank, channel count or value is impossible, or native operators are asked for but
            not there.
        tf.errors.InvalidArgumentError: an index is out of range. On a GPU nothing is raised: such a RoI gives zeros and
            passes no gradient.

    Example:
        >>> features = tf.random.normal([1, 38, 63, 7 * 7 * 4])
        >>> ps_roi_pool(features, [[0.0, 0.0, 64.0, 64.0]], [0], group_size=7, pooled_size=21, stride=16).shape
        TensorShape([1, 21, 21, 4])
    """
    features, boxes, box_indices = _checked(features, boxes, box_indices, 1, group_size, pooled_size, stride)
    return operators(implementation).ps_roi_pool(features, boxes, box_indices, group_size, pooled_size, stride)


def ps_assemble(
    score_maps, boxes, box_indices, labels=None, *, group_size, pooled_size, stride, implementation=None
):
    """Assembles the class and mask logits of every RoI from the inside and outside score maps (FCIS section 3.2).

    Both come from the same pooled scores: a RoI's class logit is the mean over its P x P bins of
    max(inside, outside), and its mask logits are the (outside, inside) pair of one class.

    Args:
        score_maps: [N, H, W, k * k * (C + 1) * 2] float32, float16 or bfloat16; the last factor is
            (outside, inside), class 0 is the background.
        boxes: [R, 4] float32, (ymin, xmin, ymax, xmax) in pixels of the image.
        box_indices: [R] int32, the image of the batch that each box lies in.
        labels: [R] int32 in [0, C], the class whose mask is wanted; None for the foreground class with the highest
            logit.
        group_size: k.
        pooled_size: P, a multiple of k; at most 1024 for native operators.
        stride: pixels of the image per cell of the map.
        implementation: "native" (C++ and CUDA), "portable" (stock TensorFlow operators), or None for native where it
            is built, unless `use_implementation` says otherwise.

    Returns:
        class_logits [R, C + 1] and mask_logits [R, P, P, 2] (outside, inside), of the dtype of `score_maps`.
        Differentiable in `score_maps`.

    Raises:
        ValueError: an argument's rank, channel count or value is impossible, or native operators are asked for but
            not there.
        tf.errors.InvalidArgumentError: an index is out of range. On a GPU nothing is raised: such a RoI gives zeros and
            passes no gradient.

    Example:
        >>> score_maps = tf.random.normal([1, 38, 63, 7 * 7 * 21 * 2])
        >>> class_logits, mask_logits = ps_assemble(
        ...     score_maps, [[0.0, 0.0, 64.0, 64.0]], [0], group_size=7, pooled_size=21, stride=16)
        >>> class_logits.shape, mask_logits.shape
        (TensorShape([1, 21]), TensorShape([1, 21, 21, 2]))
    """
    score_maps, boxes, box_indices = _checked(score_maps, boxes, box_indices, 2, group_size, pooled_size, stride)
    if labels is not None:
        labels = _as_indices(labels, "labels")
        labels.shape.assert_is_compatible_with(box_indices.shape)
    assemble = operators(implementation).ps_assemble
    return assemble(score_maps, boxes, box_indices, labels, group_size, pooled_size, stride)


def _checked(features, boxes, box_indices, depth, group_size, pooled_size, stride):
    """Returns the tensors, after checks of what is known without running anything."""
    if group_size < 1 or pooled_size < 1 or pooled_size % group_size:
        raise ValueError(f"pooled_size {pooled_size} must be a positive multiple of group_size {group_size}")
    if not 0 < stride < math.inf:
        raise ValueError(f"stride {stride} must be a positive number")
    features = tf.convert_to_tensor(features)
    if features.dtype not in (tf.float32, tf.float16, tf.bfloat16):
        raise ValueError(f"expected float32, float16 or bfloat16, found {features.dtype.name}")
    features.shape.assert_has_rank(4)
    channels = features.shape[-1]
    if channels is not None and channels % (group_size**2 * depth):
        raise ValueError(f"expected channels in multiples of {group_size**2 * depth}, found {channels}")
    boxes, box_indices = tf.cast(boxes, tf.float32), _as_indices(box_indices, "box_indices")
    boxes.shape.assert_is_compatible_with([None, 4])
    box_indices.shape.assert_is_compatible_with(boxes.shape[:1])
    return features, boxes, box_indices


def _as_indices(values, name):
    values = tf.convert_to_tensor(values, dtype_hint=tf.int32)
    if not values.dtype.is_integer:
        raise ValueError(f"{name}: expected integers, found {values.dtype.name}")
    # A plain cast would wrap what is out of range around, and back into it.
    return tf.saturate_cast(values, tf.int32)
