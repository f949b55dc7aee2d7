"""The operators that render the masks of detections: their meaning, their arguments and their checks.

A detection's mask is what regions of interest vote for (FCIS section 3.4). The mask of a region covers its box; its
probability at the centre of a pixel is interpolated bilinearly between the centres of the mask's cells, beyond the
outermost centres is that of the nearest cell, and outside the box is 0. A detection's probability at a pixel is the
weighted mean of all regions' that vote for it; so an instance can reach beyond the box of a region that cuts it off.

What is no finite number counts for nothing: a probability as 0, a vote as none, and a box with such an edge, or with a
side that is more than float32 can hold, as empty. Both operators run in functions whose shapes are only known later,
have no gradient, and run on a CPU if they are native, also where there is a GPU.
"""

import tensorflow as tf

from fcis_tf.ops.implementation import operators


def render_masks(
    roi_masks, rois, votes, image_size, *, binary_threshold, threshold_first=False, implementation=None
):
    """Renders masks at the resolution of an image.

    Args:
        roi_masks: [R, P, P] float32 in 0..1, the probability of each cell of the region to be inside the instance; P is
            at most 1024 for native operators.
        rois: [R, 4] float32 (ymin, xmin, ymax, xmax), half-open, in pixels of the image; they may reach beyond it.
        votes: [D, R] float32, the weight of each region for each detection, 0 or less for none; a row sums to 1.
        image_size: (height, width) of the image, integers or a [2] int32 tensor; at most 2^23 each.
        binary_threshold: pixels of greater probability are the instance's; a number or a scalar tensor, less than 0 is
            taken for 0.
        threshold_first: whether it is done as in the authors' code: boxes are rounded to whole pixels, and not only the
            mean but each region's mask is compared with the threshold. A Python bool.
        implementation: "native" (C++), "portable" (stock TensorFlow operators), or None for native where it is built,
            unless `use_implementation` says otherwise. They may differ at pixels whose probability is within rounding
            of the threshold.

    Returns:
        boxes [D, 4] float32 (ymin, xmin, ymax, xmax), half-open and tight around the masks, zeros where a mask is
        empty; masks [D, height, width] bool.

    Raises:
        ValueError: an argument's type, rank or shape is impossible, or native operators are asked for but not there.
        tf.errors.InvalidArgumentError: so is what only running tells.

    Example:
        >>> arguments = tf.ones([1, 7, 7]), [[1.0, 2.0, 4.0, 4.0]], [[1.0]], (6, 8)
        >>> boxes, masks = render_masks(*arguments, binary_threshold=0.4)
        >>> boxes.numpy().tolist(), masks.shape
        ([[1.0, 2.0, 4.0, 4.0]], TensorShape([1, 6, 8]))
    """
    arguments = _checked(roi_masks, rois, votes, image_size)
    render = operators(implementation).render_masks
    return tuple(render(*arguments, *_checked_thresholding(binary_threshold, threshold_first)))


def render_box_masks(
    roi_masks, rois, votes, image_size, mask_size, *, binary_threshold, threshold_first=False, implementation=None
):
    """Renders masks within their boxes: small, whatever the size of the image, and never held at its resolution.

    What `render_masks` renders is averaged, in its tight box, over the cells of a grid. A client that resizes the grid
    bilinearly to the box and compares with 0.5 has the contour again.

    Args:
        roi_masks, rois, votes, image_size, binary_threshold, threshold_first, implementation: see `render_masks`.
        mask_size: M, cells of the grid along each side; at most 1024. A Python integer.

    Returns:
        boxes [D, 4] float32 (ymin, xmin, ymax, xmax), half-open and tight around the masks, zeros where a mask is
        empty; box_masks [D, M, M] float32 in 0..1, the fraction of each cell's area that the mask covers.

    Raises:
        ValueError: an argument's type, rank or shape is impossible, or native operators are asked for but not there.
        tf.errors.InvalidArgumentError: so is what only running tells.

    Example:
        >>> arguments = tf.ones([1, 7, 7]), [[1.0, 2.0, 4.0, 4.0]], [[1.0]], (6, 8)
        >>> boxes, box_masks = render_box_masks(*arguments, 28, binary_threshold=0.4)
        >>> box_masks.shape, float(tf.reduce_min(box_masks))
        (TensorShape([1, 28, 28]), 1.0)
    """
    if not isinstance(mask_size, int) or not 1 <= mask_size <= 1024:
        raise ValueError(f"mask_size: expected an integer in 1..1024, found {mask_size!r}")
    arguments = _checked(roi_masks, rois, votes, image_size)
    render = operators(implementation).render_box_masks
    return tuple(render(*arguments, mask_size, *_checked_thresholding(binary_threshold, threshold_first)))


def _checked(roi_masks, rois, votes, image_size):
    """Returns the tensors, after checks of what is known without running anything."""
    roi_masks, rois, votes = (tf.convert_to_tensor(x, tf.float32) for x in (roi_masks, rois, votes))
    image_size = tf.convert_to_tensor(image_size, tf.int32)
    regions = roi_masks.shape.with_rank(3)[0]
    roi_masks.shape.assert_is_compatible_with([regions, roi_masks.shape[2], roi_masks.shape[1]])
    rois.shape.assert_is_compatible_with([regions, 4])
    votes.shape.assert_is_compatible_with([None, rois.shape.with_rank(2)[0] if regions is None else regions])
    image_size.shape.assert_is_compatible_with([2])
    return roi_masks, rois, votes, image_size


def _checked_thresholding(binary_threshold, threshold_first):
    if not isinstance(threshold_first, bool):
        raise ValueError(f"threshold_first: expected a Python bool, found {threshold_first!r}")
    binary_threshold = tf.convert_to_tensor(binary_threshold, tf.float32)
    binary_threshold.shape.assert_is_compatible_with([])
    return binary_threshold, threshold_first
