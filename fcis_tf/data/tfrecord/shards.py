"""Names of TFRecord files, as TensorFlow's Model Garden has them: train-00000-of-00010.tfrecord."""

import glob
import json
import logging
import re
from pathlib import Path

from fcis_tf.errors import UserError

RECORDS_HINT = (
    "expected TFRecord files in the layout of TensorFlow's Model Garden, as `python -m fcis_tf.data.to_tfrecord` and "
    "Model Garden's create_coco_tf_record.py --include_masks write them"
)

# What stands beside shards but is none.
INDEX_SUFFIX, PARTIAL_SUFFIX = ".index.npz", ".partial"

_logger = logging.getLogger(__name__)
_NAME = re.compile(r"(?P<prefix>.*)-\d{5,}-of-(?P<count>\d{5,})(\.tfrecord)?")


def shard_path(prefix, number, count):
    """Returns the path of one of `count` shards, a pathlib.Path."""
    return prefix.with_name(f"{prefix.name}-{number:05d}-of-{count:05d}.tfrecord")


def description_path(prefix):
    """Returns the path of the JSON file in which to_tfrecord says what it wrote, a pathlib.Path."""
    return prefix.with_name(f"{prefix.name}.records.json")


def find_description(shard):
    """Returns the path of the JSON file that belongs to a shard, or None if there is none."""
    name = _NAME.fullmatch(shard.name)
    path = name and description_path(shard.with_name(name["prefix"]))
    return path if path and path.is_file() else None


def read_description(shard):
    """Returns what the JSON file that belongs to a shard says, a dict, or None where there is no such file."""
    path = find_description(shard)
    try:
        description = path and json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return description if isinstance(description, dict) else None


def find_shards(pattern, key):
    """Finds the shards that fit a pattern.

    Args:
        pattern: string with *, ? or [...].
        key: where in the configuration it stands.

    Returns:
        List of pathlib.Path, sorted.

    Raises:
        UserError: there is none.
    """
    suffixes = (INDEX_SUFFIX, PARTIAL_SUFFIX, ".json")
    paths = [Path(path) for path in sorted(glob.glob(pattern, recursive=True)) if not path.endswith(suffixes)]
    paths = [path for path in paths if path.is_file()]
    if not paths:
        raise UserError(f"{key}: {pattern}: no file has such a name; {RECORDS_HINT}")
    _note_missing_shards(paths, key)
    return paths


def _note_missing_shards(paths, key):
    names = [_NAME.fullmatch(path.name) for path in paths]
    if not all(names):
        return
    counts = {(path.parent, name["prefix"]): int(name["count"]) for path, name in zip(paths, names, strict=True)}
    if sum(counts.values()) > len(paths):
        _logger.warning("%s: of %d shards only %d are there", key, sum(counts.values()), len(paths))
