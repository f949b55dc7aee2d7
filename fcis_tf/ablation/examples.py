"""What the systems of a table find in the same images, to look at."""

import numpy as np
import tensorflow as tf
from PIL import Image

from fcis_tf.errors import UserError
from fcis_tf.visualization import draw_instances, lay_out_page, write_picture

IMAGES = 4
MIN_SCORE = 0.5
_HEIGHT = 220


def draw_examples(predictor, source):
    """Draws the instances that are found in the first images of a data set.

    Args:
        predictor: a Predictor.
        source: from `load_dataset`.

    Returns:
        [H, W, 3] uint8, the images side by side.
    """
    examples = tf.data.Dataset.range(min(IMAGES, source.size)).map(source.example)
    return np.concatenate([_draw(example["image"].numpy(), predictor, source) for example in examples], axis=1)


def save_examples(drawings, path):
    """Puts what the rows of a table find below each other.

    Args:
        drawings: {name of a row: path of its drawing}.
        path: of the PNG file.

    Raises:
        UserError: a drawing cannot be read, or the page not be written.
    """
    try:
        pictures = [np.asarray(Image.open(drawing).convert("RGB")) for drawing in drawings.values()]
    except OSError as error:
        raise UserError(f"{path}: cannot be made of the rows' pictures: {error}") from None
    write_picture(lay_out_page(pictures, list(drawings), width=1), path)


def _draw(image, predictor, source):
    found = predictor.predict(image)
    sure = found.scores >= MIN_SCORE
    boxes, classes, scores, masks = (values[sure] for values in found)
    drawn = Image.fromarray(draw_instances(image, boxes, classes, scores, masks, source.class_names))
    return np.asarray(drawn.resize((round(_HEIGHT * drawn.width / drawn.height), _HEIGHT), Image.Resampling.LANCZOS))
