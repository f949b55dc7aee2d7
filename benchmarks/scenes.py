"""Images with instances, drawn at random: something to learn from for benchmarks, of any size."""

import json

import numpy as np
import tensorflow as tf
from pycocotools import mask as coco_mask

CLASSES = 80
# About as many as COCO's images have.
INSTANCES = 8


def make_image(height, width, seed=0):
    """Returns [height, width, 3] uint8: noise of several sizes, so that no two places look the same."""
    grids = [tf.random.stateless_normal([size, size, 3], [seed, size]) for size in (8, 40, 200)]
    noise = sum(tf.image.resize(grid, [height, width]) for grid in grids)
    return tf.cast(tf.clip_by_value(128 + 40 * noise, 0, 255), tf.uint8)


def make_masks(height, width, seed=0):
    """Returns [INSTANCES, height, width] bool: ellipses of all sizes, each with a part of it at least in the image."""
    rng = np.random.default_rng(seed)
    extent = np.float32([height, width])
    centres = rng.uniform(0.1, 0.9, (INSTANCES, 2)) * extent
    radii = np.exp(rng.uniform(np.log(0.05), np.log(0.4), (INSTANCES, 2))) * extent
    rows, columns = np.ogrid[:height, :width]
    ellipses = zip(centres, radii, strict=True)
    return np.stack([((rows - y) / ry) ** 2 + ((columns - x) / rx) ** 2 <= 1 for (y, x), (ry, rx) in ellipses])


def make_classes(seed=0):
    """Returns [INSTANCES] int32, 1 to CLASSES."""
    return np.random.default_rng(seed).integers(1, CLASSES + 1, INSTANCES, dtype=np.int32)


def write_scenes(folder, sizes):
    """Writes scenes as a data set in COCO's format.

    Args:
        folder: Path of a directory.
        sizes: (height, width) of every image.

    Returns:
        What `data.train` of a configuration says to read it.
    """
    images, annotations = [], []
    for number, (height, width) in enumerate(sizes):
        name = f"{number}.png"
        tf.io.write_file(str(folder / name), tf.io.encode_png(make_image(height, width, number)))
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        for mask, label in zip(make_masks(height, width, number), make_classes(number), strict=True):
            annotations.append(_annotation(len(annotations) + 1, number, mask, int(label)))
    categories = [{"id": label, "name": f"class {label}"} for label in range(1, CLASSES + 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(content))
    return {"format": "coco", "images": str(folder), "annotations": str(folder / "instances.json")}


def _annotation(number, image, mask, label):
    runs = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {
        "id": number,
        "image_id": image,
        "category_id": label,
        "segmentation": {"size": runs["size"], "counts": runs["counts"].decode()},
        "area": float(coco_mask.area(runs)),
        "bbox": coco_mask.toBbox(runs).tolist(),
        "iscrowd": 0,
    }
