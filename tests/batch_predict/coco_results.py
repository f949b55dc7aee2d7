"""COCO results of batch prediction, as tests compare them."""

import json

import numpy as np
from pycocotools import mask as coco_mask


def lines(prefix, kind="-*"):
    """Returns the entries of all shards of a kind, "-*" for results or ".bad-*"."""
    paths = sorted(prefix.parent.glob(f"{prefix.name}{kind}-of-*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def by_image(results):
    """Returns {file name: its results}, in their order."""
    return {name: [r for r in results if r["file_name"] == name] for name in {r["file_name"] for r in results}}


def check_same_results(found, expected):
    """Compares the COCO results of an image; those of other operators differ in the last digits."""
    for name in ("category_id", "image_id", "file_name"):
        assert [result[name] for result in found] == [result[name] for result in expected]
    np.testing.assert_allclose([r["score"] for r in found], [r["score"] for r in expected], atol=1e-4)
    np.testing.assert_allclose([r["bbox"] for r in found], [r["bbox"] for r in expected], atol=0.01)
    masks, others = ([coco_mask.decode(r["segmentation"]) for r in results] for results in (found, expected))
    for mask, other in zip(masks, others, strict=True):
        assert (mask & other).sum() >= 0.999 * (mask | other).sum()
