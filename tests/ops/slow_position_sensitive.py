"""The position-sensitive operators as loops over their definition, in float32, rounded after each operation."""

import math

import numpy as np

F = np.float32


def round_half_away(x):
    """Rounds to the nearest integer, halves away from zero, exactly: Python's fractions of floats are exact."""
    whole = math.floor(abs(float(x)))
    return F(math.copysign(whole + (abs(float(x)) - whole >= 0.5), x))


def bins_of(low, high, size, pooled_size, stride):
    """Returns the cells [(begin, end), ...] that the bins cover along one axis of a map of `size` cells."""
    low, high = round_half_away(low) / F(stride), round_half_away(high) / F(stride)
    bin_size = max(high - low, F(0.1)) / F(pooled_size)
    bins = []
    for i in range(pooled_size):
        begin, end = math.floor(F(i) * bin_size + low), math.ceil(F(i + 1) * bin_size + low)
        bins.append((min(max(begin, 0), size), min(max(end, 0), size)))
    return bins


def bins_of_boxes(features, boxes, box_indices, group_size, pooled_size, stride):
    """Yields ((r, i, j), index of the cells and of their channel group) of every bin that is not empty."""
    _, height, width, channels = features.shape
    depth = channels // group_size**2
    for r, (box, image) in enumerate(zip(boxes, box_indices, strict=True)):
        rows = bins_of(box[0], box[2], height, pooled_size, stride)
        columns = bins_of(box[1], box[3], width, pooled_size, stride)
        for i, (top, bottom) in enumerate(rows):
            for j, (left, right) in enumerate(columns):
                if top < bottom and left < right:
                    group = (i * group_size // pooled_size) * group_size + j * group_size // pooled_size
                    channel = slice(group * depth, (group + 1) * depth)
                    yield (r, i, j), (image, slice(top, bottom), slice(left, right), channel)


def ps_roi_pool(features, boxes, box_indices, group_size, pooled_size, stride):
    depth = features.shape[-1] // group_size**2
    output = np.zeros((len(boxes), pooled_size, pooled_size, depth))
    for bin_, cells in bins_of_boxes(features, boxes, box_indices, group_size, pooled_size, stride):
        output[bin_] = features[cells].mean(axis=(0, 1), dtype=np.float64)
    return output


def ps_roi_pool_gradient(features, boxes, box_indices, output_gradient, group_size, pooled_size, stride):
    gradient = np.zeros(features.shape)
    for bin_, cells in bins_of_boxes(features, boxes, box_indices, group_size, pooled_size, stride):
        height, width, _ = gradient[cells].shape
        gradient[cells] += output_gradient[bin_] / (height * width)
    return gradient


def ps_assemble(score_maps, boxes, box_indices, labels, group_size, pooled_size, stride):
    pooled = ps_roi_pool(score_maps, boxes, box_indices, group_size, pooled_size, stride)
    pooled = pooled.reshape(*pooled.shape[:3], -1, 2)
    class_logits = pooled.max(axis=-1).mean(axis=(1, 2))
    if labels is None:
        labels = 1 + class_logits[:, 1:].argmax(axis=1)
    return class_logits, np.stack([pooled[r, :, :, label] for r, label in enumerate(labels)])


def ps_assemble_gradient(
    score_maps, boxes, box_indices, labels, class_logits_gradient, mask_logits_gradient, group_size, pooled_size, stride
):
    sizes = {"group_size": group_size, "pooled_size": pooled_size, "stride": stride}
    pooled = ps_roi_pool(score_maps, boxes, box_indices, **sizes)
    pooled = pooled.reshape(*pooled.shape[:3], -1, 2)
    # The outside of equals is the maximum.
    is_maximum = np.stack([pooled[..., 0] >= pooled[..., 1], pooled[..., 0] < pooled[..., 1]], axis=-1)
    gradient = is_maximum * (np.float64(class_logits_gradient) / pooled_size**2)[:, None, None, :, None]
    for r, label in enumerate(labels):
        gradient[r, :, :, label] += mask_logits_gradient[r]
    gradient = gradient.reshape(*gradient.shape[:3], -1)
    return ps_roi_pool_gradient(score_maps, boxes, box_indices, gradient, **sizes)
