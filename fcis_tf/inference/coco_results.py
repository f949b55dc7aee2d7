"""Instances in COCO's format of results."""

import numpy as np
from pycocotools import mask as coco_mask


def coco_results(instances, image_id, category_ids):
    """Turns the instances of one image into entries of a COCO results file.

    Args:
        instances: Instances of NumPy arrays.
        image_id: that of the image in its data set.
        category_ids: the data set's id of each class; class i + 1 is category_ids[i].

    Returns:
        A list of dicts, ready for JSON: `image_id`, `category_id`, `bbox` (xmin, ymin, width, height in pixels),
        `score` and `segmentation`, a compressed run-length encoding.
    """
    # pycocotools wants [height, width, masks] in Fortran order, the masks' transposes one after the other.
    masks = np.ascontiguousarray(instances.masks.transpose(0, 2, 1)).view(np.uint8).transpose(2, 1, 0)
    ymin, xmin, ymax, xmax = instances.boxes.astype(float).T
    bboxes = np.stack([xmin, ymin, xmax - xmin, ymax - ymin], axis=1)
    return [
        {
            "image_id": image_id,
            "category_id": category_ids[label - 1],
            "bbox": bbox,
            "score": score,
            "segmentation": {"size": rle["size"], "counts": rle["counts"].decode("ascii")},
        }
        for label, bbox, score, rle in zip(
            instances.classes.tolist(),
            bboxes.tolist(),
            instances.scores.tolist(),
            coco_mask.encode(masks),
            strict=True,
        )
    ]
