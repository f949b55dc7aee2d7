"""Converting a data set to TFRecord files."""

import hashlib
import json
import logging

import numpy as np

from fcis_tf.data.dataset import load_dataset
from fcis_tf.data.problems import Problems
from fcis_tf.data.tfrecord.processes import write_shards
from fcis_tf.data.tfrecord.record_index import read_indices
from fcis_tf.data.tfrecord.record_writer import UNREADABLE_IMAGES, ImageFiles, RenderedImages, Shard
from fcis_tf.data.tfrecord.shards import description_path, shard_path
from fcis_tf.errors import UserError
from fcis_tf.json_file import write_json

IMAGES_PER_SHARD = 1000

_logger = logging.getLogger(__name__)


def convert(data_config, split, prefix, shards=None, processes=1):
    """Converts a data set to TFRecord files; those that are there already stay.

    Args:
        data_config: DataConfig.
        split: "train" or "eval", which of its data sets.
        prefix: pathlib.Path, what the files' names begin with.
        shards: how many files; None for one per IMAGES_PER_SHARD images.
        processes: how many of them are written at the same time.

    Returns:
        A line that says what was written.

    Raises:
        UserError: the data set cannot be converted, a file cannot be written, or files of other contents are there.
    """
    dataset_config = getattr(data_config, split)
    if dataset_config.format == "tfrecord":
        raise UserError(f"data.{split}: is TFRecord already; expected one of the formats coco, sbd, voc and digits")
    if dataset_config.format == "digits" and not dataset_config.scenes:
        raise UserError(f"data.{split}.scenes: endless scenes cannot be converted; expected 1 or more")
    # Crops of masks aren't needed here: the smallest cost least.
    source = load_dataset(data_config.model_copy(update={"mask_size": 1}), split)
    ground_truth = source.ground_truth()
    images = ground_truth.dataset["images"]
    shards = shards or -(-len(images) // IMAGES_PER_SHARD)
    if shards > len(images):
        raise UserError(f"--shards {shards}: expected at most {len(images)}, since there are no more images")
    description = _describe(ground_truth.dataset, shards, data_config, dataset_config, prefix)

    paths = [shard_path(prefix, number, shards) for number in range(shards)]
    # In the order of the data set, so that a training on the records sees the same images.
    parts = [images[part[0] : part[-1] + 1] for part in np.array_split(np.arange(len(images)), shards)]
    missing = [
        _plan_shard(source, ground_truth, path, part, data_config.strict)
        for path, part in zip(paths, parts, strict=True)
        if not path.exists()
    ]
    problems = Problems(source.name, strict=False)
    for detail in write_shards(missing, processes):
        problems.report(UNREADABLE_IMAGES, detail)
    if problems.counts:
        _logger.warning("%s", problems.summary())
    written = sum(len(index.offsets) for index in read_indices(paths))
    if missing or "records" not in description:
        write_json(description | {"records": written}, description_path(prefix))
    there = f", of which {shards - len(missing)} were there already" if len(missing) < shards else ""
    left_out = f"; {len(images) - written} images are left out" if written < len(images) else ""
    return f"{prefix}-*.tfrecord: {written} images in {shards} files{there}{left_out}"


def _describe(content, shards, data_config, dataset_config, prefix):
    """Writes what the records are made of beside them, or compares it with what stands there; returns it, a dict."""
    description = {
        "images": len(content["images"]),
        "shards": shards,
        "dataset": dataset_config.model_dump(mode="json"),
        "strict": data_config.strict,
        "annotations": _digest(content),
        "categories": [{"id": category["id"], "name": category["name"]} for category in content["categories"]],
    }
    path = description_path(prefix)
    try:
        prefix.parent.mkdir(parents=True, exist_ok=True)
        found = json.loads(path.read_text()) if path.exists() else description
    except OSError as error:
        raise UserError(f"--out {prefix}: cannot be written there: {error.strerror}") from None
    except ValueError:
        found = None
    known = found if isinstance(found, dict) else {}
    # How many records there are stands there at the end only.
    if {name: value for name, value in known.items() if name != "records"} != description:
        changed = ", ".join(name for name, value in description.items() if known.get(name) != value)
        raise UserError(
            f"{path}: describes records that differ in {changed or 'other keys'}; delete it and {prefix.name}-* to "
            "write them anew, or choose another --out"
        )
    write_json(known or description, path)
    return known or description


def _digest(content):
    """Returns a checksum of what the annotations say, but for the shapes of the masks."""
    images = [(image["id"], image["height"], image["width"]) for image in content["images"]]
    annotations = [
        (entry["image_id"], entry["category_id"], entry["iscrowd"], entry["area"], *entry["bbox"])
        for entry in content["annotations"]
    ]
    return hashlib.sha256(repr((images, annotations)).encode()).hexdigest()


def _plan_shard(source, ground_truth, path, images, strict):
    image_ids = [image["id"] for image in images]
    # Scenes are numbered as their images are.
    has_files = hasattr(source, "image_path")
    files = ImageFiles([source.image_path(i) for i in image_ids]) if has_files else RenderedImages(source, image_ids)
    annotations = [annotation for image_id in image_ids for annotation in ground_truth.imgToAnns[image_id]]
    return Shard(path, images, files, annotations, ground_truth.dataset["categories"], source.name, strict)
