"""Folders as PASCAL VOC and SBD have them, with pictures of noise."""

import numpy as np
import scipy.io
from PIL import Image

# Width and height as VOC's images have them, but smaller; instances 1 and 2 are a person and a horse.
HEIGHT, WIDTH = 40, 60
NUMBERS = np.zeros((HEIGHT, WIDTH), np.uint8)
NUMBERS[5:35, 10:30] = 1
NUMBERS[20:39, 25:50] = 2
LABELS = (15, 13)


def write_photograph(path, size=(WIDTH, HEIGHT)):
    path.parent.mkdir(parents=True, exist_ok=True)
    colors = np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)
    Image.fromarray(colors).resize(size).save(path)


def write_lines(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def write_instances(path, numbers=NUMBERS, labels=LABELS):
    """Writes a file of SBD's inst: a struct with a matrix, a column and, not read, a cell of sparse boundaries."""
    path.parent.mkdir(parents=True, exist_ok=True)
    boundaries = np.empty((len(labels), 1), object)
    boundaries[:, 0] = [scipy.sparse.csc_matrix(numbers == i) for i in range(1, len(labels) + 1)]
    categories = np.array(labels, np.uint8).reshape(-1, 1)
    struct = {"Segmentation": numbers, "Boundaries": boundaries, "Categories": categories}
    scipy.io.savemat(path, {"GTinst": struct}, do_compression=True)


def write_sbd(root, train, val):
    """Writes a folder like SBD's dataset, with the same two instances in all images."""
    for image_id in (*train, *val):
        write_photograph(root / "img" / f"{image_id}.jpg")
        write_instances(root / "inst" / f"{image_id}.mat")
    write_lines(root / "train.txt", train)
    write_lines(root / "val.txt", val)


def write_indices(path, indices):
    """Writes a PNG whose palette, like VOC's, gives every index a colour of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(indices.astype(np.uint8), mode="P")
    picture.putpalette(np.random.default_rng(1).permutation(3 * 256).astype(np.uint8).tolist())
    picture.save(path)


def border(numbers):
    """Returns the pixels at the outline of instances, which VOC marks as void."""
    inner = np.zeros(numbers.shape, bool)
    inner[1:-1, 1:-1] = True
    for axis in (0, 1):
        for shift in (-1, 1):
            inner &= np.roll(numbers, shift, axis) == numbers
    return ~inner & (numbers > 0)


def write_voc(root, **splits):
    """Writes a folder like VOC2012, with the same two instances, and void around them, in all images."""
    for split, image_ids in splits.items():
        write_lines(root / "ImageSets" / "Segmentation" / f"{split}.txt", image_ids)
        for image_id in image_ids:
            write_photograph(root / "JPEGImages" / f"{image_id}.jpg")
            void = border(NUMBERS)
            labels = np.array([0, *LABELS])[NUMBERS]
            write_indices(root / "SegmentationObject" / f"{image_id}.png", np.where(void, 255, NUMBERS))
            write_indices(root / "SegmentationClass" / f"{image_id}.png", np.where(void, 255, labels))
