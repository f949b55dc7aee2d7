"""Masks cropped to their boxes: whether the mask targets of RoIs are those of the masks at full resolution."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from pycocotools import mask as coco_mask

from fcis_tf.config import CocoDataset, DataConfig
from fcis_tf.data.coco_json import read_coco
from fcis_tf.data.mask_crops import crop_segmentation
from fcis_tf.losses.roi_targets import mask_targets

COCO100 = Path(__file__).resolve().parents[3] / "shared" / "data" / "coco100"
HEIGHT, WIDTH = 240, 320
P = 21
MASK_SIZE = DataConfig.model_fields["mask_size"].default


def jittered(box, rng, count=4):
    """Returns [count, 4] RoIs around a box whose sides are moved by up to a sixth of its size."""
    ymin, xmin, ymax, xmax = box
    size = np.array([ymax - ymin, xmax - xmin] * 2)
    return (box + rng.uniform(-1 / 6, 1 / 6, (count, 4)) * size).astype(np.float32)


def slow_targets(roi, whole):
    """[P, P]: the mask of a whole image at the centres of the RoI's cells; nothing is outside of the image."""
    ymin, xmin, ymax, xmax = roi.astype(float)
    targets = np.zeros((P, P), int)
    for i in range(P):
        for j in range(P):
            y = int(np.floor(ymin + (i + 0.5) / P * (ymax - ymin)))
            x = int(np.floor(xmin + (j + 0.5) / P * (xmax - xmin)))
            if 0 <= y < whole.shape[0] and 0 <= x < whole.shape[1]:
                targets[i, j] = whole[y, x]
    return targets


def disagreement(instances):
    """Returns for each of some RoIs around each instance the share of its pixels whose targets differ.

    Args:
        instances: list of (COCO segmentation; box (ymin, xmin, ymax, xmax); [H, W] mask of the whole image).
    """
    rng = np.random.default_rng(0)
    boxes = np.float32([box for _, box, _ in instances])
    rois = np.stack([jittered(box, rng) for box in boxes])
    crops = np.stack([crop_segmentation(segmentation, box, MASK_SIZE) for segmentation, box, _ in instances])
    batch = {"boxes": tf.constant(boxes[None]), "masks": tf.constant(crops[None])}
    matched = np.repeat(np.arange(len(instances), dtype=np.int32), rois.shape[1])[None]
    flat = tf.constant(rois.reshape(1, -1, 4))
    targets = mask_targets(flat, tf.ones_like(matched), tf.constant(matched), batch, P)[0].numpy()
    expected = np.stack([slow_targets(roi, instances[i][2]) for i, around in enumerate(rois) for roi in around])
    return (targets != expected).mean(axis=(1, 2))


def shape(rng):
    """Returns the polygon of a star-shaped blob with up to eight bumps."""
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    size = rng.uniform(12, 100)
    radii = size * (1 + 0.3 * np.sin(rng.integers(2, 9) * angles + rng.uniform(0, 6))) * rng.uniform(0.8, 1, 60)
    x, y = WIDTH / 2 + radii * np.cos(angles), HEIGHT / 2 + radii * np.sin(angles) * rng.uniform(0.4, 1)
    return np.clip(np.stack([x, y], axis=1), 0, [WIDTH, HEIGHT]).round(2)


@pytest.mark.parametrize("kind", ["polygons", "run lengths"])
def test_targets_of_shapes(kind):
    rng = np.random.default_rng(0)
    instances = []
    for _ in range(20):
        points = shape(rng)
        (runs,) = coco_mask.frPyObjects([points.ravel().tolist()], HEIGHT, WIDTH)
        segmentation = [points.ravel().tolist()] if kind == "polygons" else runs
        box = (*points.min(axis=0)[::-1], *points.max(axis=0)[::-1])
        instances.append((segmentation, box, coco_mask.decode(runs)))
    assert disagreement(instances).mean() < 0.01


@pytest.mark.skipif(not COCO100.is_dir(), reason="needs the sample of COCO")
def test_targets_of_coco():
    config = CocoDataset(format="coco", images=COCO100 / "images", annotations=COCO100 / "instances.json")
    content = read_coco(config, "data.train", strict=True)
    images = {image["id"]: image for image in content.images}
    instances = []
    for annotation in content.annotations[::4]:
        image, (x, y, width, height) = images[annotation["image_id"]], annotation["bbox"]
        segmentation = annotation["segmentation"]
        runs = segmentation
        if isinstance(segmentation, list):
            runs = coco_mask.merge(coco_mask.frPyObjects(segmentation, image["height"], image["width"]))
        instances.append((segmentation, (y, x, y + height, x + width), coco_mask.decode(runs)))
    assert disagreement(instances).mean() < 0.01
