"""A SavedModel's directory, written whole or not at all."""

import dataclasses
import os
import tempfile
from pathlib import Path

import tensorflow as tf
import yaml
from tensorflow.core.protobuf import fingerprint_pb2

from fcis_tf.errors import UserError
from fcis_tf.export.serving_signatures import serving_signatures
from fcis_tf.export.warmup_requests import write_warmup_requests
from fcis_tf.json_file import write_json
from fcis_tf.whole_file import write_text


def check_destination(out):
    """Checks that a model may be written to a directory.

    Raises:
        UserError: it is not named by a number, or there is something else than an empty directory.
    """
    out = Path(out)
    # TensorFlow Serving's versions are 64-bit integers.
    if not (out.name.isascii() and out.name.isdecimal() and int(out.name) < 2**63):
        raise UserError(f"--out {out}: expected a directory named by the model's version, such as {out / '1'}")
    try:
        taken = out.exists() and (not out.is_dir() or any(out.iterdir()))
    except OSError as error:
        raise UserError(f"--out {out}: {error.strerror}") from None
    if taken:
        raise UserError(f"--out {out}: already there; name another version")


def export_savedmodel(trained, options, out):
    """Writes a trained network as a SavedModel that TensorFlow Serving can serve.

    The same network, options and versions of this package and of TensorFlow give the same files, if each process
    exports once: TensorFlow numbers the functions that a process makes.

    Args:
        trained: a TrainedModel.
        options: ServingOptions.
        out: the directory, such as DIR/1: a server is told DIR and serves the highest number in it. It appears when it
            is complete. Beside the graph it holds assets/classes.json, a list of {id, name, category_id}, and
            assets/config.yaml, what the network and its use were configured with.

    Raises:
        UserError: there is something at `out` already, or it cannot be written.
    """
    check_destination(out)
    out = Path(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # In the same directory, since a rename is atomic only within one file system; servers only look for numbers.
        with tempfile.TemporaryDirectory(prefix=".export-", dir=out.parent) as partial:
            _write(trained, options, Path(partial, "model"))
            os.rename(Path(partial, "model"), out)
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
        raise UserError(f"--out {out}: cannot write this directory: {reason}") from None


def _write(trained, options, directory):
    tf.saved_model.save(tf.Module(), str(directory), signatures=serving_signatures(trained, options))
    _make_uuid_deterministic(directory / "fingerprint.pb")
    classes = [
        {"id": label, "name": name, "category_id": category_id}
        for label, (name, category_id) in enumerate(zip(trained.class_names, trained.category_ids, strict=True), 1)
    ]
    write_json(classes, directory / "assets" / "classes.json")
    write_text(_configuration(trained.config, options), directory / "assets" / "config.yaml")
    write_warmup_requests(directory, options.max_pixels)


def _make_uuid_deterministic(path):
    """Replaces the random number in a SavedModel's fingerprint by one that the model's contents determine."""
    fingerprint = fingerprint_pb2.FingerprintDef.FromString(path.read_bytes())
    fingerprint.uuid = str(fingerprint.saved_model_checksum)
    path.write_bytes(fingerprint.SerializeToString(deterministic=True))


def _configuration(config, options):
    """Returns as YAML what a model was exported with, but not what it was trained on and how."""
    used = {"model": True, "data": {"short_side", "long_side"}, "inference": True}
    values = config.model_dump(mode="json", include=used)
    return yaml.safe_dump(values | {"export": dataclasses.asdict(options)}, sort_keys=False)
