"""ChainerCV's side of `benchmarks.parity`: run by a Python that has ChainerCV, on Python 3.8.

Takes a folder with image.npy, [H, W, 3] uint8, the number of classes, of RoIs, and a seed. Writes weights.npz, a
FCISResNet101 with random weights, and outputs.npz, what it computes for the image.
"""

import sys
from pathlib import Path

import chainer
import numpy as np
from chainercv.experimental.links import FCISResNet101

# Random weights as they are would let activations grow or vanish over a hundred layers.
FIRST_KERNEL, LAST_GAMMA = 0.01, 0.3


def main(folder, classes, rois, seed):
    rng = np.random.RandomState(seed)
    model = FCISResNet101(n_fg_class=classes)
    randomize(model, rng)
    chainer.serializers.save_npz(str(folder / "weights.npz"), model)
    image = np.load(folder / "image.npy", allow_pickle=False)
    with chainer.using_config("train", False), chainer.no_backprop_mode():
        outputs = compute(model, image, rois)
    np.savez(folder / "outputs.npz", **outputs)


def randomize(model, rng):
    """Draws all weights and the statistics of batch normalisation."""
    for name, parameter in sorted(model.namedparams()):
        shape = parameter.shape
        if name.endswith("conv/W"):
            values = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
            parameter.array = values * (FIRST_KERNEL if shape[1] == 3 else 1)
        elif name.endswith("bn/gamma"):
            parameter.array = rng.uniform(0.7, 1.3, shape) * (LAST_GAMMA if "conv3" in name else 1)
        elif name.endswith(("bn/beta", "/b")):
            parameter.array = rng.normal(0, 0.1, shape)
        else:
            # Scores that differ, so that classes do.
            parameter.array = rng.normal(0, 0.1 if "cls_seg" in name else 0.01, shape)
        parameter.array = parameter.array.astype(np.float32)
    for _, link in sorted(model.namedlinks()):
        if hasattr(link, "avg_var"):
            link.avg_mean = rng.normal(0, 0.1, link.avg_mean.shape).astype(np.float32)
            link.avg_var = rng.uniform(0.7, 1.5, link.avg_var.shape).astype(np.float32)


def compute(model, image, rois):
    """Returns what the network computes on the way, channels last."""
    size = image.shape[:2]
    pixels = (image.transpose(2, 0, 1) - model.mean).astype(np.float32)[None]
    conv4, conv5 = model.extractor(pixels)
    offsets, logits, proposals, _, anchors = model.rpn(conv4, size, [1.0])
    hidden = chainer.functions.relu(model.head.conv1(conv5))
    some = proposals[:rois]
    model.head.iter2 = False
    masks, boxes, classes, _, _ = model.head(conv5, some, np.zeros(len(some), np.int32), size)
    arrays = {
        "conv4": conv4.array.transpose(0, 2, 3, 1),
        "conv5": conv5.array.transpose(0, 2, 3, 1),
        "rpn_logits": logits.array,
        "rpn_offsets": offsets.array,
        "anchors": anchors,
        "proposals": proposals,
        "score_maps": model.head.cls_seg(hidden).array,
        "rois": some,
        "class_probs": chainer.functions.softmax(classes).array,
        "mask_labels": classes.array.argmax(axis=1),
        "mask_probs": chainer.functions.softmax(masks).array[:, 1],
        "box_offsets": boxes.array[:, 1],
    }
    return {name: np.ascontiguousarray(values) for name, values in arrays.items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
