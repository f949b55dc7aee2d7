"""Writes the small cases of `make gpu-check`: `python -m tests.ops.write_gpu_check_cases`.

Inputs follow a formula that gpu_check.cu knows, too; what they give is computed by loops over the definition.
"""

import io
from pathlib import Path

import numpy as np

from tests.ops import slow_position_sensitive as slow

PATH = Path(__file__).with_name("gpu_check_cases.txt")

# Over the map's border, beyond the map, tiny, inverted, with edges on halves; two boxes that cover much.
BOXES = [(0, 0, 64, 64), (-20, 8.5, 40.5, 300), (500, 500, 600, 600), (17.2, 33.2, 17.4, 33.4), (40, 60, 20, 10)]

# name: batch, height, width, classes, group_size, pooled_size, stride. The second map is wider than a block's share.
CASES = {"two-images": (2, 4, 4, 3, 2, 4, 16), "wide": (1, 3, 20, 2, 1, 4, 16)}


def by_formula(shape, seed):
    index = np.arange(np.prod(shape), dtype=np.int64)
    return (np.float32((index * 7919 + seed * 104729) % 1009 - 504) / np.float32(256)).reshape(shape)


def cases_as_text():
    text, seed = io.StringIO(), 0
    for name, (batch, height, width, classes, group_size, pooled_size, stride) in CASES.items():
        sizes = {"group_size": group_size, "pooled_size": pooled_size, "stride": stride}
        boxes, count, depth = np.float32(BOXES), len(BOXES), 2 * classes
        indices, labels = np.arange(count) % batch, np.arange(count) % classes
        bins = count, pooled_size, pooled_size
        shapes = (batch, height, width, group_size**2 * depth), (count, classes), (*bins, 2), (*bins, depth)
        features, class_gradient, mask_gradient, output_gradient = (
            by_formula(shape, seed + i) for i, shape in enumerate(shapes, start=1)
        )
        seed += len(shapes)
        print(name, batch, height, width, depth, count, *sizes.values(), file=text)
        arrays = [boxes, indices, labels, *slow.ps_assemble(features, boxes, indices, labels, **sizes)]
        gradients = class_gradient, mask_gradient
        arrays.append(slow.ps_assemble_gradient(features, boxes, indices, labels, *gradients, **sizes))
        arrays.append(slow.ps_roi_pool(features, boxes, indices, **sizes))
        arrays.append(slow.ps_roi_pool_gradient(features, boxes, indices, output_gradient, **sizes))
        for array in arrays:
            # Lines that a diff can show.
            numbers = [f"{number:.7g}" for number in array.ravel()]
            for start in range(0, len(numbers), 12):
                print(*numbers[start : start + 12], file=text)
    print("end", file=text)
    return text.getvalue()


if __name__ == "__main__":
    PATH.write_text(cases_as_text())
