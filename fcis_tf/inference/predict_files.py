"""Prediction on image files: pictures of the instances, and the instances as COCO results."""

import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from fcis_tf.errors import UserError
from fcis_tf.inference.coco_results import coco_results
from fcis_tf.json_file import write_json
from fcis_tf.visualization import draw_instances, write_picture


def predict_files(predictor, paths, out, class_names, category_ids, threads=1):
    """Finds the instances in image files, draws them, and writes them as COCO results.

    An image that cannot be predicted is reported on the standard error and left out. The results of all images so far
    are written even if the work is interrupted; without any, those of an earlier call stay.

    Args:
        predictor: a Predictor, or anything with its method `predict_file`.
        paths: of the images.
        out: directory for the drawings, each a PNG named after its image, and for instances.json. Its entries have the
            image's file name as `file_name`, and as `image_id` the number that the file is named with, or else again
            the file name. Images that differ in their extension only have it in the names of their drawings too, and
            are no numbers.
        class_names: the names of the classes; class i + 1 is class_names[i].
        category_ids: their ids in COCO results.
        threads: how many images are predicted at once.

    Returns:
        (the number of instances, the number of images that could not be predicted).

    Raises:
        UserError: the directory or a file in it cannot be written, or a drawing would replace an image or another
            drawing, or there is an instances.json that holds no COCO results, such as a data set's annotations.
    """
    paths = [Path(path) for path in paths]
    names = _distinct_names(paths)
    _check_replaceable(Path(out) / "instances.json")
    drawings = _drawing_paths(paths, names, Path(out))

    def predict(path, name, drawing):
        """Returns the COCO results of one image, or the UserError that says why there are none."""
        try:
            image, instances = predictor.predict_file(path)
        except UserError as error:
            return error
        write_picture(draw_instances(image, *instances, class_names), drawing)
        image_id = int(name) if name.isascii() and name.isdigit() else path.name
        return [{**result, "file_name": path.name} for result in coco_results(instances, image_id, category_ids)]

    results, predicted = [], 0
    pool = ThreadPoolExecutor(threads)
    try:
        for answer in tqdm(
            pool.map(predict, paths, names, drawings), desc="predict", total=len(paths), unit=" images"
        ):
            if isinstance(answer, UserError):
                tqdm.write(f"skipped: {answer}", file=sys.stderr)
                continue
            results += answer
            predicted += 1
    finally:
        pool.shutdown(cancel_futures=True)
        if predicted:
            write_json(results, Path(out) / "instances.json")
    return len(results), len(paths) - predicted


def _check_replaceable(path):
    if not path.is_file():
        return
    try:
        is_results = isinstance(json.loads(path.read_text()), list)
    except (OSError, ValueError, RecursionError):
        is_results = False
    if not is_results:
        raise UserError(f"{path}: would be replaced, but holds no COCO results; name another --out")


def _distinct_names(paths):
    """Returns the name of each image without its extension, or with it where others differ in nothing else."""
    counts = Counter(path.stem for path in paths)
    return [path.stem if counts[path.stem] == 1 else path.name for path in paths]


def _drawing_paths(paths, names, out):
    """Returns where the drawing of each image goes; makes the directory."""
    drawings = {}
    originals = {path.resolve() for path in paths}
    for path, name in zip(paths, names, strict=True):
        drawing = out / f"{name}.png"
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
