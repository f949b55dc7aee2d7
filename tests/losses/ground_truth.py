"""Random ground truth, with instances, crowd regions and padding."""

import numpy as np


def random_boxes(rng, shape, limit, smallest=4.0, largest=40.0):
    corners = rng.uniform(0, limit - largest, (*shape, 2))
    return np.concatenate([corners, corners + rng.uniform(smallest, largest, (*shape, 2))], axis=-1).astype(np.float32)


def random_batch(rng, images=2, instances=3, limit=100, num_classes=4):
    """Returns what the targets need of a batch; instances = 0 gives images without any."""
    shape = images, instances
    kinds = rng.choice(["instance", "crowd", "padding"], shape, p=[0.6, 0.2, 0.2])
    present = kinds != "padding"
    return {
        "image_sizes": np.full([images, 2], limit, np.int32),
        "boxes": np.where(present[..., None], random_boxes(rng, shape, limit), 0),
        "classes": np.where(present, rng.integers(1, num_classes + 1, shape), 0).astype(np.int32),
        "is_crowd": kinds == "crowd",
        "masks": (rng.uniform(size=(*shape, 8, 8)) < 0.5).astype(np.uint8),
    }


def slow_iou(box, other):
    shared = slow_intersection(box, other)
    union = slow_area(box) + slow_area(other) - shared
    return shared / union if union > 0 else 0.0


def slow_covered(box, other):
    return slow_intersection(box, other) / slow_area(box)


def slow_area(box):
    return float(box[2] - box[0]) * float(box[3] - box[1])


def slow_intersection(box, other):
    height = min(box[2], other[2]) - max(box[0], other[0])
    width = min(box[3], other[3]) - max(box[1], other[1])
    return float(max(height, 0)) * float(max(width, 0))


def slow_offsets(box, reference):
    """R-CNN appendix C."""
    height, width = reference[2] - reference[0], reference[3] - reference[1]
    return [
        ((box[0] + box[2]) - (reference[0] + reference[2])) / 2 / height,
        ((box[1] + box[3]) - (reference[1] + reference[3])) / 2 / width,
        np.log((box[2] - box[0]) / height),
        np.log((box[3] - box[1]) / width),
    ]
