"""Prediction on image files: pictures of the instances, and the instances as COCO results."""

import sys
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from fcis_tf.errors import UserError
from fcis_tf.inference.coco_results import coco_results
from fcis_tf.inference.photograph import read_photograph
from fcis_tf.json_file import write_json
from fcis_tf.visualization import draw_instances


def predict_files(predictor, paths, out, class_names, category_ids):
    """Finds the instances in image files, draws them, and writes them as COCO results.

    An image that cannot be read is reported on the standard error and left out. The results of all images so far are
    written even if the work is interrupted.

    Args:
        predictor: a Predictor, or anything with its method `predict`.
        paths: of the images.
        out: directory for the drawings, each a PNG named after its image, and for instances.json. Its entries have the
            image's file name as `file_name`, and as `image_id` the number that the file is named with, or else again
            the file name.
        class_names: the names of the classes.
        category_ids: their ids in COCO results.

    Returns:
        (the number of instances, the number of images that could not be read).

    Raises:
        UserError: the directory cannot be written, or a drawing would replace an image or another drawing.
    """
    paths = [Path(path) for path in paths]
    drawings = _drawing_paths(paths, Path(out))
    results, failures = [], 0
    try:
        for path, drawing in zip(tqdm(paths, desc="predict", unit=" images"), drawings, strict=True):
            try:
                image = read_photograph(path)
            except UserError as error:
                tqdm.write(f"skipped: {error}", file=sys.stderr)
                failures += 1
                continue
            instances = predictor.predict(image)
            drawn = draw_instances(image, *instances, class_names)
            Image.fromarray(drawn).save(drawing)
            results += [
                {**result, "file_name": path.name} for result in coco_results(instances, _image_id(path), category_ids)
            ]
    finally:
        write_json(results, Path(out) / "instances.json")
    return len(results), failures


def _drawing_paths(paths, out):
    """Returns where the drawing of each image goes; makes the directory."""
    drawings = {}
    originals = {path.resolve() for path in paths}
    for path in paths:
        drawing = out / f"{path.stem}.png"
        if drawing in drawings:
            raise UserError(f"{path}: its drawing would replace that of {drawings[drawing]}; predict them apart")
        if drawing.resolve() in originals:
            raise UserError(f"{path}: its drawing would replace the image {drawing}; choose another --out")
        drawings[drawing] = path
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: cannot make this directory: {error.strerror}") from None
    return list(drawings)


def _image_id(path):
    return int(path.stem) if path.stem.isascii() and path.stem.isdigit() else path.name
