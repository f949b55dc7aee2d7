"""Mask proposals of InstanceFCN, and their classes by R-FCN: the paper's InstFCN + R-FCN (FCIS section 4.1)."""

import tensorflow as tf

from fcis_tf import boxes as box_ops
from fcis_tf.data import pad_image, prepare_image


def score_mask_proposals(proposer, classifier, images, prepared, sizes):
    """Finds masks with one network and their classes with the other; both see the photographs, and share nothing.

    Args:
        proposer: what has an InstanceFCN, `model`, and the Config to use it with, `config`; see `propose_masks`.
        classifier: FCIS with the head of R-FCN, which scores the masks' boxes.
        images: [N, H, W, 3] uint8, RGB.
        prepared: [N, h, w, 3] float32, the same as `prepare_image` makes them for the classifier.
        sizes: [N, 2] int32, (h, w).

    Returns:
        What `score_regions` returns, in pixels of `prepared`. The regions are tight around their masks.
    """
    proposals = propose_masks(proposer.model, images, proposer.config, sizes[0])
    rois = box_ops.clip(proposals["boxes"], sizes)
    scored = classifier.assemble(classifier.compute_maps(pad_image(prepared)), rois)
    return {
        "rois": rois,
        "rois_valid": proposals["valid"],
        "class_probs": tf.nn.softmax(scored["class_logits"]),
        "mask_probs": proposals["masks"],
    }


def propose_masks(model, images, config, size):
    """Finds masks of any class in a pyramid of images (InstanceFCN section 3.3).

    Args:
        model: InstanceFCN.
        images: [N, H, W, 3] uint8, RGB.
        config: a Config. `inference.test_scales` are the short sides of the pyramid's images, `data.short_side` alone
            if there are none; `model.proposals` says how many windows and masks there are, and at which IoU of their
            boxes the mask of lower objectness is suppressed; pixels of a probability above
            `inference.binary_threshold` are a mask's.
        size: [2] int32, height and width of the images in whose pixels the boxes are wanted.

    Returns:
        A dict: boxes [N, R, 4] float32 in pixels, tight around the masks; masks [N, R, P, P] float32, the probability
        of each cell of a box to be inside; objectness [N, R] float32, falling; valid [N, R] bool, False for padding.
    """
    short_sides = config.inference.test_scales or [config.data.short_side]
    levels = [_look(model, images, short_side, config, size) for short_side in short_sides]
    masks, windows, scores = (tf.concat(parts, axis=1) for parts in zip(*levels, strict=True))
    boxes, found = tight_mask_boxes(masks, config.inference.binary_threshold)
    placed = _within(windows, boxes)
    chosen, valid = _suppress(placed, tf.where(found, scores, 0.0), config.model.proposals)
    masks, boxes, placed, scores = (tf.gather(x, chosen, batch_dims=1) for x in (masks, boxes, placed, scores))
    return {
        "boxes": tf.where(valid[..., None], placed, 0.0),
        "masks": crop_masks(masks, boxes),
        "objectness": tf.where(valid, scores, 0.0),
        "valid": valid,
    }


def tight_mask_boxes(masks, threshold):
    """Finds the boxes of masks within their windows.

    Between the centres of cells a mask's probability changes linearly, as it does when the mask is rendered, and a box
    ends where the threshold is crossed.

    Args:
        masks: [..., P, P] float32 probabilities.
        threshold: what is above it is the mask's.

    Returns:
        boxes [..., 4] float32 in 0..1, (ymin, xmin, ymax, xmax) as parts of the window; found [...] bool, whether there
        is a cell above the threshold. Boxes of others are the whole window.
    """
    ymin, ymax = _extent(tf.reduce_max(masks, axis=-1), threshold)
    xmin, xmax = _extent(tf.reduce_max(masks, axis=-2), threshold)
    found = tf.reduce_any(masks > threshold, axis=[-2, -1])
    boxes = tf.stack([ymin, xmin, ymax, xmax], axis=-1)
    return tf.where(found[..., None], boxes, tf.constant([0.0, 0.0, 1.0, 1.0])), found


def crop_masks(masks, boxes):
    """Samples masks, bilinearly, at the centres of as many cells of boxes within their windows.

    Args:
        masks: [N, R, P, P] float32.
        boxes: [N, R, 4] float32 in 0..1, parts of the window.

    Returns:
        [N, R, P, P] float32.
    """
    side = masks.shape[-1]
    # Centres of the first and last cell of a box, counted in centres of the window's cells.
    half_cell = (boxes[..., 2:] - boxes[..., :2]) / (2.0 * side)
    corners = tf.concat([boxes[..., :2] + half_cell, boxes[..., 2:] - half_cell], axis=-1) * side - 0.5
    corners = tf.clip_by_value(corners, 0.0, side - 1.0) / max(side - 1, 1)
    flat = tf.reshape(masks, [-1, side, side, 1])
    crops = tf.image.crop_and_resize(flat, tf.reshape(corners, [-1, 4]), tf.range(tf.shape(flat)[0]), [side, side])
    return tf.reshape(crops, tf.shape(masks))


def _look(model, images, short_side, config, size):
    """Returns the masks [N, A, P, P] of one of the pyramid's images, their windows and their objectness.

    The windows, [N, A, 4], are in pixels of the images of a size; objectness, [N, A], is above 0.
    """
    long_side = short_side * config.data.long_side / config.data.short_side
    prepared, _ = prepare_image(images, short_side, long_side)
    sizes = _sizes(prepared)
    maps = model.propose(pad_image(prepared), sizes)
    count = tf.minimum(config.model.proposals.before_nms, tf.shape(maps["windows"])[0])
    logits, chosen = tf.math.top_k(maps["objectness_logits"], count)
    windows = tf.gather(maps["windows"], chosen)
    masks = tf.sigmoid(model.assemble(maps, windows))
    # Of what is beyond the image nothing is known.
    masks = tf.where(_centers_within(windows, sizes, model.mask_size), masks, 0.0)
    scale = tf.cast(size, tf.float32) / tf.cast(sizes[0], tf.float32)
    return masks, windows * tf.tile(scale, [2]), tf.sigmoid(logits)


def _centers_within(windows, sizes, cells):
    """Returns [N, A, P, P] bool, whether the centres of windows' cells lie in the image."""
    steps = (tf.range(cells, dtype=tf.float32) + 0.5) / cells
    centers = windows[..., None, :2] + steps[:, None] * (windows[..., None, 2:] - windows[..., None, :2])
    limits = tf.cast(sizes, tf.float32)[:, None, None]
    rows, columns = tf.unstack((centers >= 0.0) & (centers < limits), axis=-1)
    return rows[..., :, None] & columns[..., None, :]


def _extent(profile, threshold):
    """Returns where profiles [..., P] first and last exceed a threshold, in 0..1."""
    side = profile.shape[-1]
    return _first_crossing(profile, threshold) / side, 1.0 - _first_crossing(profile[..., ::-1], threshold) / side


def _first_crossing(profile, threshold):
    """Returns [...], in cells from the start; 0 where the first cell is above the threshold already."""
    first = tf.argmax(profile > threshold, axis=-1, output_type=tf.int32)
    value = tf.gather(profile, first, batch_dims=len(profile.shape) - 1)
    before = tf.gather(profile, tf.maximum(first - 1, 0), batch_dims=len(profile.shape) - 1)
    beyond = tf.math.divide_no_nan(value - threshold, value - before)
    return tf.where(first > 0, tf.cast(first, tf.float32) + 0.5 - beyond, 0.0)


def _within(windows, boxes):
    """Returns boxes [..., 4], parts of windows [..., 4], in the pixels of these."""
    origin, side = windows[..., :2], windows[..., 2:] - windows[..., :2]
    return tf.concat([origin + boxes[..., :2] * side, origin + boxes[..., 2:] * side], axis=-1)


def _suppress(boxes, scores, config):
    """Returns the indices [N, R] of the masks that are kept, by falling score, and which of them are no padding."""

    def of_image(inputs):
        return tf.image.non_max_suppression_padded(
            *inputs, config.after_nms, config.nms_threshold, score_threshold=0.0, pad_to_max_output_size=True
        )

    chosen, counts = tf.map_fn(of_image, (boxes, scores), fn_output_signature=(tf.int32, tf.int32))
    return chosen, tf.range(config.after_nms) < counts[:, None]


def _sizes(images):
    """Returns [N, 2] int32, the height and width of images [N, H, W, 3]."""
    return tf.tile(tf.shape(images)[None, 1:3], [tf.shape(images)[0], 1])
