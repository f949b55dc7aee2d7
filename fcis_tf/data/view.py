"""Shows what the network will see of one's own data: `python -m fcis_tf.data.view --config CONFIG --out PAGE.png`."""

import argparse
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image
from tqdm import tqdm

from fcis_tf.command_line import add_override_argument, run_program, whole_number
from fcis_tf.config import load_config
from fcis_tf.data import IMAGE_MEAN, describe_data_error, evaluation_batches, load_dataset, training_batches
from fcis_tf.data.first_scenes import limit_endless
from fcis_tf.data.pipeline import draw_scale
from fcis_tf.data.preparation import resized_size
from fcis_tf.data.statistics import statistics_tables
from fcis_tf.errors import UserError
from fcis_tf.losses.anchor_targets import anchor_targets
from fcis_tf.losses.random_subset import image_seeds
from fcis_tf.models.anchors import make_anchors
from fcis_tf.models.fcis import STRIDE
from fcis_tf.visualization import draw_training_example, lay_out_page, write_picture

_EPILOG = """
What is drawn is taken from the batches of training or evaluation themselves: images resized, flipped and cropped as the
configuration says, masks as they are left at data.mask_size, (names in brackets) for crowd regions, and thin white
lines for the anchors that the RPN learns as foreground. If masks lie beside the objects, the annotations are for other
images; an instance without a white box has no anchor to be found with. A name without room is left out.

The tables count all images, from the annotations alone; of an endless data set the first 200 scenes.
"""
# Of a picture on the page, in pixels; wide ones are lower.
_PICTURE_HEIGHT, _LARGEST_WIDTH = 420, 760
_CHECK = "python -m fcis_tf.data.check names them all"


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="python -m fcis_tf.data.view",
        description="Draws a page of images as the network gets them, with their instances, and prints statistics of "
        "the whole data set.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", required=True, type=Path, help="YAML file, e.g. configs/digits.yaml")
    parser.add_argument("--out", required=True, type=Path, metavar="PAGE", help="the page: a PNG or JPEG file")
    parser.add_argument("--split", choices=("train", "eval"), default="train", help="which data set [train]")
    parser.add_argument(
        "--images", type=whole_number(1, 1000), default=12, metavar="N", help="how many images to draw [12]"
    )
    parser.add_argument(
        "--seed",
        type=whole_number(0, 2**31 - 1),
        default=0,
        help="which training images and how they are augmented; evaluation has an order of its own [0]",
    )
    add_override_argument(parser)
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    if arguments.out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise UserError(f"--out {arguments.out}: expected a file name that ends in .png or .jpg")
    if not arguments.out.parent.is_dir():
        raise UserError(f"--out {arguments.out}: there is no directory {arguments.out.parent}")
    config = load_config(arguments.config, arguments.override)
    source = load_dataset(config.data, arguments.split)
    counted = source if source.size is not None else load_dataset(limit_endless(config.data), arguments.split)
    # First, since there are tables of a data set too of which nothing can be drawn.
    tables = statistics_tables(counted.ground_truth(), config, arguments.split)
    print(f"{source.name} of {arguments.config}\n\n{tables}\n", flush=True)
    page, unreadable = draw_page(source, config, arguments.split, arguments.images, arguments.seed)
    write_picture(page, arguments.out)
    left_out = f"; images left out that cannot be read: {unreadable}, {_CHECK}" if unreadable else ""
    print(f"{arguments.out} shows what the network sees{left_out}")


def draw_page(source, config, split, count, seed):
    """Draws images as the network gets them, with their instances and the anchors that it learns as foreground.

    Args:
        source: of `load_dataset`.
        config: Config.
        split: "train" for training's batches, "eval" for those of evaluation.
        count: how many images, fewer if there are fewer.
        seed: training's seed.

    Returns:
        page: [height, width, 3] uint8, RGB.
        unreadable: how many images were left out since they cannot be read.

    Raises:
        UserError: no image has an instance to learn from, or none can be read; in evaluation, or if `data.strict`, one
            cannot be read. Further ones: see `training_batches` and `evaluation_batches`.
    """
    batches = _batches(source, config.data, split, seed)
    if source.size is not None:
        # A second time around there are the same images again.
        available = len(source.training_indices) if split == "train" else source.size
        batches, count = batches.take(available), min(count, available)
    pictures, captions, unreadable = [], [], 0
    with tqdm(desc="Drawing", total=count, unit=" images", delay=2, leave=False) as progress:
        for step, batch in enumerate(_read(batches, source, config.data, split, seed)):
            # What stands in for an unreadable image comes in its own turn too.
            if batch.get("skipped", [-1])[0] >= 0:
                unreadable += 1
                continue
            anchors = _foreground_anchors(batch, step, config, seed)
            example = {name: value[0].numpy() for name, value in batch.items()}
            pictures.append(_draw(example, anchors, source.class_names))
            scale = draw_scale(config.data, seed, step) if split == "train" else None
            captions.append(_caption(example, scale, len(anchors), source))
            progress.update()
            if len(pictures) == count:
                break
    return lay_out_page(pictures, captions), unreadable


def _batches(source, data_config, split, seed):
    if split == "train":
        return training_batches(source, data_config, 1, seed)
    return evaluation_batches(source, data_config)


def _read(batches, source, data_config, split, seed):
    """Iterates over batches; an image that cannot be read and that nothing stands in for is a UserError."""
    try:
        yield from batches
    except tf.errors.InvalidArgumentError as error:
        description = describe_data_error(error)
        if split == "train" and not data_config.strict:
            description = _first_cause(source, data_config, seed) or description
        if description is None:
            raise
        raise UserError(f"{source.name}: {description}; {_CHECK}") from None


def _first_cause(source, data_config, seed):
    """Returns what is wrong with the first image of training that cannot be read."""
    strict = data_config.model_copy(update={"strict": True})
    try:
        for _ in training_batches(source, strict, 1, seed).take(len(source.training_indices)):
            pass
    except tf.errors.InvalidArgumentError as error:
        return describe_data_error(error)


def _foreground_anchors(batch, position, config, seed):
    """Returns the anchors [A, 4] that training would draw as foreground for a batch of one image at a position."""
    height, width = batch["images"].shape[1:3]
    model = config.model
    layout = model.anchor_scales, model.anchor_ratios, STRIDE, model.round_anchors
    anchors = make_anchors(height // STRIDE, width // STRIDE, *layout)
    seeds = image_seeds(seed, tf.constant([position], tf.int64))
    labels, _ = anchor_targets(anchors, batch, config.training.rpn_targets, seeds)
    return anchors.numpy()[labels[0].numpy() == 1]


def _draw(example, anchors, class_names):
    height, width = example["image_sizes"]
    image = np.clip(example["images"][:height, :width] + IMAGE_MEAN, 0, 255).round().astype(np.uint8)
    # Drawn at the page's scale, so that lines and names can be read.
    scale = min(_PICTURE_HEIGHT / height, _LARGEST_WIDTH / width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    factors = np.tile(np.float32([size[1] / height, size[0] / width]), 2)
    real = example["classes"] > 0
    instances = [example[name][real] for name in ("classes", "is_crowd", "masks")]
    return draw_training_example(image, example["boxes"][real] * factors, *instances, anchors * factors, class_names)


def _caption(example, scale, anchors, source):
    image_id = int(example["image_ids"])
    name = Path(source.image_path(image_id)).name if hasattr(source, "image_path") else f"image {image_id}"
    crowds = int(example["is_crowd"].sum())
    instances = int((example["classes"] > 0).sum()) - crowds
    counts = f"instances: {instances}, anchors: {anchors}" + (f", crowds: {crowds}" if crowds else "")
    return f"{name}\n{_preparation(example, scale)}\n{counts}"


def _preparation(example, scale):
    """Says what was made of an image of evaluation (scale None) or training."""
    original, (height, width) = example["original_sizes"], example["image_sizes"]
    stored = f"{original[1]} x {original[0]}"
    resized = (height, width) if scale is None else resized_size(tf.constant(original), *scale).numpy()
    if (height, width) == tuple(resized):
        return f"{stored} to {width} x {height}"
    return f"{stored}, short side {min(resized)}, crop of {width} x {height}"


if __name__ == "__main__":
    run_program(main)
