"""MXNet's side of `benchmarks.parity`: run by a Python that has MXNet 1.9.1, on Python 3.8.

Takes a folder with image.npy, [H, W, 3] uint8, the number of classes, of RoIs, and a seed. Writes weights.params, a
network with the names of the authors' symbol and random weights, and outputs.npz, what it computes for the image.
"""

import sys
from pathlib import Path

import mxnet as mx
import numpy as np

MEAN = np.array([123.15, 115.90, 103.06], np.float32)
SCALES, RATIOS, STRIDE = (8, 16, 32), (0.5, 1, 2), 16
GROUP_SIZE, POOLED_SIZE = 7, 21
BLOCKS = {
    2: ("a", "b", "c"),
    3: ("a", "b1", "b2", "b3"),
    4: ("a",) + tuple(f"b{i}" for i in range(1, 23)),
    5: ("a", "b", "c"),
}


def main(folder, classes, rois, seed):
    rng = np.random.RandomState(seed)
    image = np.load(folder / "image.npy", allow_pickle=False)
    pixels = mx.nd.array((image - MEAN).transpose(2, 0, 1)[None])
    symbol = build(classes + 1)
    weights = draw_weights(symbol, pixels.shape, rng)
    mx.nd.save(str(folder / "weights.params"), weights)
    outputs = run(symbol, weights, pixels)
    pooled = pool(outputs, pixels.shape[2:], classes + 1, rois)
    np.savez(folder / "outputs.npz", **pooled)


def build(classes):
    """Returns the symbol, whose outputs are conv4, conv5, the RPN's, the score maps and the box maps."""
    x = relu(convolution(mx.sym.Variable("data"), "conv1", "bn_conv1", 64, 7, stride=2))
    x = mx.sym.Pooling(x, kernel=(3, 3), stride=(2, 2), pool_type="max", pooling_convention="full")
    for stage, names in BLOCKS.items():
        for name in names:
            x = block(x, f"{stage}{name}", 32 * 2**stage // 2, stage, name == "a")
        if stage == 4:
            conv4 = x
    anchors = len(SCALES) * len(RATIOS)
    hidden = relu(mx.sym.Convolution(conv4, name="rpn_conv_3x3", num_filter=512, kernel=(3, 3), pad=(1, 1)))
    reduced = relu(plain(x, "conv_new_1", 1024))
    return mx.sym.Group(
        [
            conv4,
            x,
            plain(hidden, "rpn_cls_score", 2 * anchors),
            plain(hidden, "rpn_bbox_pred", 4 * anchors),
            plain(reduced, "fcis_cls_seg", GROUP_SIZE**2 * classes * 2),
            plain(reduced, "fcis_bbox", GROUP_SIZE**2 * 8),
        ]
    )


def block(x, name, channels, stage, is_first):
    stride = 2 if is_first and stage in (3, 4) else 1
    dilation = 2 if stage == 5 else 1
    branch = f"{name}_branch"
    shortcut = x
    if is_first:
        shortcut = convolution(x, f"res{branch}1", f"bn{branch}1", 4 * channels, 1, stride=stride)
    y = relu(convolution(x, f"res{branch}2a", f"bn{branch}2a", channels, 1, stride=stride))
    y = relu(convolution(y, f"res{branch}2b", f"bn{branch}2b", channels, 3, dilation=dilation))
    return relu(shortcut + convolution(y, f"res{branch}2c", f"bn{branch}2c", 4 * channels, 1))


def convolution(x, name, norm, channels, size, stride=1, dilation=1):
    x = mx.sym.Convolution(
        x,
        name=name,
        num_filter=channels,
        kernel=(size, size),
        stride=(stride, stride),
        dilate=(dilation, dilation),
        pad=(size // 2 * dilation,) * 2,
        no_bias=True,
    )
    return mx.sym.BatchNorm(x, name=norm, use_global_stats=True, fix_gamma=False, eps=1e-5)


def plain(x, name, channels):
    return mx.sym.Convolution(x, name=name, num_filter=channels, kernel=(1, 1))


def relu(x):
    return mx.sym.Activation(x, act_type="relu")


def draw_weights(symbol, shape, rng):
    """Returns random weights by the names of mx.model's files; activations stay in range."""
    shapes, _, aux_shapes = symbol.infer_shape(data=shape)
    names = [*symbol.list_arguments(), *symbol.list_auxiliary_states()]
    # Python 3.8 knows no strict zip.
    named = sorted(zip(names, [*shapes, *aux_shapes]))  # noqa: B905
    weights = {}
    for name, shape in named:
        if name == "data":
            continue
        if name.endswith("_moving_var"):
            values = rng.uniform(0.7, 1.5, shape)
        elif name.endswith("_gamma"):
            values = rng.uniform(0.7, 1.3, shape) * (0.3 if "2c" in name else 1)
        elif name.startswith(("res", "conv1")):
            values = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape) * (0.01 if name == "conv1_weight" else 1)
        else:
            # Scores that differ, so that classes do.
            values = rng.normal(0, 0.1 if "cls_seg" in name or name.endswith("_bias") else 0.01, shape)
        kind = "aux" if "_moving_" in name else "arg"
        weights[f"{kind}:{name}"] = mx.nd.array(values)
    return weights


def run(symbol, weights, pixels):
    executor = symbol.bind(
        mx.cpu(),
        dict({name[4:]: values for name, values in weights.items() if name.startswith("arg:")}, data=pixels),
        aux_states={name[4:]: values for name, values in weights.items() if name.startswith("aux:")},
        grad_req="null",
    )
    return executor.forward(is_train=False)


def pool(outputs, size, classes, rois):
    """Returns all outputs in the order that ours have, and what the authors' operators make of proposals."""
    conv4, conv5, scores, offsets, score_maps, box_maps = outputs
    height, width = conv4.shape[2:]
    anchors = len(SCALES) * len(RATIOS)
    logits = scores.reshape((1, 2, anchors * height, width))
    probabilities = mx.nd.softmax(logits, axis=1).reshape((1, 2 * anchors, height, width))
    proposals = mx.nd.contrib.Proposal(
        probabilities,
        offsets,
        mx.nd.array([[size[0], size[1], 1.0]]),
        feature_stride=STRIDE,
        scales=SCALES,
        ratios=RATIOS,
        rpn_pre_nms_top_n=6000,
        rpn_post_nms_top_n=300,
        threshold=0.7,
        rpn_min_size=2,
    )
    some = proposals[:rois]
    sizes = {"group_size": GROUP_SIZE, "pooled_size": POOLED_SIZE, "spatial_scale": 1 / STRIDE}
    pooled = mx.nd.contrib.PSROIPooling(score_maps, some, output_dim=2 * classes, **sizes).asnumpy()
    boxes = mx.nd.contrib.PSROIPooling(box_maps, some, output_dim=8, **sizes).asnumpy()
    pooled = pooled.reshape(rois, classes, 2, POOLED_SIZE, POOLED_SIZE)
    class_logits = pooled.max(axis=2).mean(axis=(2, 3))
    labels = 1 + class_logits[:, 1:].argmax(axis=1)
    masks = pooled[np.arange(rois), labels]
    by_anchor = offsets.asnumpy().reshape(anchors, 4, height, width)[:, [1, 0, 3, 2]]
    return {
        "conv4": conv4.asnumpy().transpose(0, 2, 3, 1),
        "conv5": conv5.asnumpy().transpose(0, 2, 3, 1),
        "rpn_logits": scores.asnumpy().reshape(2, anchors, height, width).transpose(2, 3, 1, 0).reshape(1, -1, 2),
        "rpn_offsets": by_anchor.transpose(2, 3, 0, 1).reshape(1, -1, 4),
        "score_maps": score_maps.asnumpy(),
        "proposals": half_open(proposals.asnumpy()),
        "rois": half_open(some.asnumpy()),
        "class_probs": softmax(class_logits, 1),
        "mask_labels": labels,
        "mask_probs": softmax(masks, 1)[:, 1],
        "box_offsets": boxes.mean(axis=(2, 3)).reshape(rois, 2, 4)[:, 1, [1, 0, 3, 2]],
    }


def half_open(boxes):
    """(ymin, xmin, ymax, xmax), half-open, from (image, xmin, ymin, last x, last y)."""
    return np.ascontiguousarray(boxes[:, [2, 1, 4, 3]] + np.float32([0, 0, 1, 1]))


def softmax(logits, axis):
    values = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return values / values.sum(axis=axis, keepdims=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
