"""The strokes that digit scenes are made of: scikit-learn's bundled handwritten digits, enlarged."""

from dataclasses import dataclass

import numpy as np
import sklearn.datasets
import tensorflow as tf

from fcis_tf.boxes import tight_boxes

DIGITS = tuple(range(10))

# Where the ink's level (0 to 1) reaches this, the pixel belongs to the digit.
INK_THRESHOLD = 0.4

_SAMPLE_SIZE = 8
# Empty pixels around a sample, so that strokes which touch its border close smoothly.
_MARGIN = 2
_ENLARGEMENT = 6
# One sample in so many, of each class, is kept for evaluation.
_EVALUATION_SHARE = 5


@dataclass(frozen=True)
class Glyphs:
    """Handwritten digits, ordered by class.

    Attributes:
        ink: [S, 72, 72] uint8, level of ink, 255 the darkest.
        boxes: [S, 4] float32, tight box (ymin, xmin, ymax, xmax) of the ink in pixels of `ink`.
        starts: [C] int32, the first sample of each class.
        counts: [C] int32, how many samples each class has.
        sample_ids: [S] int64 NumPy array, row of each glyph in scikit-learn's data set.
    """

    ink: tf.Tensor
    boxes: tf.Tensor
    starts: tf.Tensor
    counts: tf.Tensor
    sample_ids: np.ndarray


def load_glyphs(split, digits=DIGITS):
    """Enlarges the handwritten digits of one split.

    Args:
        split: "train" or "eval"; the two share no sample, and each has every class in the same proportion.
        digits: the C digits to load, in the order of the classes.

    Returns:
        Glyphs.
    """
    samples = sklearn.datasets.load_digits()
    rows_by_class = [_rows_of_split(samples.target == digit, split) for digit in digits]
    rows = np.concatenate(rows_by_class)
    ink = _enlarge(samples.images[rows] / samples.images.max())
    counts = np.array([len(rows) for rows in rows_by_class])
    return Glyphs(
        ink=tf.constant(np.round(ink * 255).astype(np.uint8)),
        boxes=tight_boxes(ink >= INK_THRESHOLD),
        starts=tf.constant(np.cumsum(counts) - counts, tf.int32),
        counts=tf.constant(counts, tf.int32),
        sample_ids=rows,
    )


def _rows_of_split(is_digit, split):
    rows = np.flatnonzero(is_digit)
    for_evaluation = np.arange(len(rows)) % _EVALUATION_SHARE == 0
    return rows[for_evaluation if split == "eval" else ~for_evaluation]


def _enlarge(images):
    margins = ((0, 0), (_MARGIN, _MARGIN), (_MARGIN, _MARGIN))
    images = np.pad(images, margins)[..., None]
    side = (_SAMPLE_SIZE + 2 * _MARGIN) * _ENLARGEMENT
    return np.clip(tf.image.resize(images, (side, side), "bicubic")[..., 0].numpy(), 0, 1)
