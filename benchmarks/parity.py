"""Whether a converted network computes what the original does: `python -m benchmarks.parity --peer-python P`.

ChainerCV's FCISResNet101, or a network of MXNet's operators with the names of the authors' symbol, gets random weights
and statistics, and computes a photograph; its weights are converted, and our network computes the same photograph and
the same regions.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from fcis_tf.command_line import run_program, whole_number
from fcis_tf.config import load_config
from fcis_tf.convert.convert_network import convert_network
from fcis_tf.data import IMAGE_MEAN
from fcis_tf.errors import UserError
from fcis_tf.inference.photograph import read_photograph
from fcis_tf.model_directory import load_trained

FILES = {"chainercv": "weights.npz", "mxnet": "weights.params"}
CLASSES = 20
HEIGHT, WIDTH = 600, 800
TOLERANCE = 1e-3
# Two proposals are the same if no edge is further apart than so many pixels.
SAME_BOX, SAME_SET = 0.1, 0.99


def main():
    parser = argparse.ArgumentParser(description="Compares a converted network with its original.")
    parser.add_argument("--peer-python", required=True, help="a Python that has ChainerCV and MXNet")
    parser.add_argument("--kind", choices=FILES, default="chainercv", help="whose network [%(default)s]")
    parser.add_argument(
        "--photograph",
        type=Path,
        default=Path("../shared/data/coco100/images/000000000009.jpg"),
        help=f"resized to {HEIGHT} x {WIDTH} pixels [%(default)s]",
    )
    parser.add_argument("--rois", type=int, default=40, help="regions to compare; half a second each [%(default)s]")
    parser.add_argument("--seed", type=whole_number(0, 2**31 - 1), default=0, help="of the weights [%(default)s]")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        photograph = Image.fromarray(read_photograph(arguments.photograph)).resize((WIDTH, HEIGHT))
        np.save(folder / "image.npy", np.asarray(photograph))
        script = Path(__file__).with_name(f"{arguments.kind}_fcis.py")
        numbers = map(str, (CLASSES, arguments.rois, arguments.seed))
        run_original([arguments.peer_python, script, folder, *numbers])
        with np.load(folder / "outputs.npz", allow_pickle=False) as file:
            theirs = dict(file)
        config = load_config("configs/voc.yaml")
        convert_network(arguments.kind, folder / FILES[arguments.kind], folder / "model", config)
        model = load_trained(folder / "model").model
        ours = compute(model, np.asarray(photograph), theirs["rois"], theirs["mask_labels"])
    return report(ours, theirs)


def run_original(command):
    try:
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(f"--peer-python {command[0]}: expected a Python with ChainerCV and MXNet: {error}") from None


def compute(model, image, rois, labels):
    """Returns what the network computes of the image and the regions, under the names of the original's."""
    pixels = tf.constant(image[None], tf.float32) - IMAGE_MEAN
    conv4, conv5 = tf.function(model.backbone)(pixels)
    maps = tf.function(model.propose)(pixels)
    outputs = model.assemble(maps, tf.constant(rois[None]), tf.constant(labels[None], tf.int32))
    values = {
        "conv4": conv4,
        "conv5": conv5,
        "rpn_logits": maps["rpn_logits"],
        "rpn_offsets": maps["rpn_offsets"],
        "anchors": maps["anchors"],
        "score_maps": maps["score_maps"],
        "proposals": maps["proposals"][maps["proposals_valid"]],
        "class_probs": tf.nn.softmax(outputs["class_logits"])[0],
        "mask_probs": tf.nn.softmax(outputs["mask_logits"])[0, ..., 1],
        "box_offsets": outputs["box_offsets"][0],
    }
    return {name: value.numpy() for name, value in values.items()}


def report(ours, theirs):
    """Prints the largest difference of every output; returns 1 if one is too large, 0 if not."""
    theirs["score_maps"] = in_our_order(theirs["score_maps"])
    print(f"\n{'':14}{'shape':>22}{'largest value':>16}{'largest difference':>20}")
    agree = True
    for name, values in ours.items():
        # MXNet's operator keeps its anchors to itself.
        if name == "proposals" or name not in theirs:
            continue
        difference = np.abs(values - theirs[name]).max()
        agree &= bool(difference <= TOLERANCE)
        print(f"{name:14}{str(values.shape):>22}{np.abs(theirs[name]).max():16.3f}{difference:20.2e}")
    shared = shared_fraction(ours["proposals"], theirs["proposals"])
    agree &= bool(shared >= SAME_SET)
    print(f"{'proposals':14}{str(ours['proposals'].shape):>22}{100 * shared:15.1f}% in both within {SAME_BOX} pixels")
    print("\nall within " f"{TOLERANCE}" if agree else f"\nnot all within {TOLERANCE}")
    return 0 if agree else 1


def in_our_order(score_maps):
    """Returns their score maps [1, classes * 2 * k * k, H, W] in our layout, one channel after the other."""
    classes, size = CLASSES + 1, int((score_maps.shape[1] // (2 * (CLASSES + 1))) ** 0.5)
    ours = np.empty_like(score_maps.transpose(0, 2, 3, 1))
    for label in range(classes):
        for side in range(2):
            for row in range(size):
                for column in range(size):
                    channel = ((row * size + column) * classes + label) * 2 + side
                    ours[..., channel] = score_maps[:, ((label * 2 + side) * size + row) * size + column]
    return ours


def shared_fraction(boxes, others):
    """Returns which fraction of the boxes [R, 4] and [S, 4] are in both sets."""
    near = np.abs(boxes[:, None] - others[None]).max(axis=2) <= SAME_BOX
    return (near.any(axis=1).sum() + near.any(axis=0).sum()) / sum(near.shape)


if __name__ == "__main__":
    run_program(main)
