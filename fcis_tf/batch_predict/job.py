"""What a batch prediction is told to do, and the file beside its results that says so."""

import hashlib
import json
import os
import re
from typing import NamedTuple

from apache_beam.io.filesystems import FileSystems

from fcis_tf.batch_predict.image_reference import match_files
from fcis_tf.batch_predict.saved_detector import describe_model
from fcis_tf.batch_predict.shard_files import PARTIAL_SUFFIX, explained
from fcis_tf.errors import UserError


class Job(NamedTuple):
    """What is to be predicted.

    Attributes:
        model: directory of an exported network, a string.
        pattern: of the image files or TFRecord files.
        prefix: what the names of all files that are written begin with.
        shards: how many files of results.
        min_score: instances of a lower score are left out.
    """

    model: str
    pattern: str
    prefix: str
    shards: int
    min_score: float

    def files(self):
        """Returns what `match_files` finds, but for the files that the job itself writes."""
        return [(path, size) for path, size in match_files(self.pattern) if not self.writes(path)]

    def writes(self, path):
        """Returns whether a path is one of those that the job writes to."""
        files = rf"(\.bad)?-\d{{5}}-of-\d{{5}}\.jsonl(\.[0-9a-f]+{re.escape(PARTIAL_SUFFIX)})?"
        description = rf"\.job\.json({re.escape(PARTIAL_SUFFIX)})?"
        return bool(re.fullmatch(f"{re.escape(self.prefix)}({files}|{description})", path))

    @property
    def description_path(self):
        """Path of the file that says what the results are of."""
        return f"{self.prefix}.job.json"

    def shard_of(self, reference):
        """Returns the number of the shard of an image, which its name alone decides."""
        # Images that are named with the same number meet, so that their shard can tell them apart.
        name = reference.name if reference.number is None else str(reference.number)
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % self.shards


def prepare(job):
    """Checks that a job can be run, and says beside its results what they are of.

    Files that an earlier run did not complete are deleted; those that it completed stay if they are of the same job.
    Of a run that completed no shard nothing stays.

    Args:
        job: a Job.

    Raises:
        UserError: the network cannot be used, no file fits the pattern, nothing can be written, or there are results
            of another job.
    """
    description = _describe(job)
    written = [path for path, _ in match_files(f"{job.prefix}*") if job.writes(path)]
    complete = [path for path in written if not path.endswith(PARTIAL_SUFFIX)]
    if job.description_path in complete:
        if all(path.startswith((job.description_path, f"{job.prefix}.bad-")) for path in complete):
            complete = []
        else:
            _check_same(job, description)
    elif complete:
        raise UserError(
            f"{complete[0]}: already there, but no {job.description_path} says what it is of; delete it, or choose "
            "another --output"
        )
    with explained(job.description_path):
        FileSystems.delete([path for path in written if path not in complete])
        if not complete:
            _write(json.dumps(description, indent=1) + "\n", job.description_path)


def _check_same(job, description):
    try:
        with FileSystems.open(job.description_path) as file:
            found = json.loads(file.read())
    except (OSError, ValueError):
        found = None
    known = found if isinstance(found, dict) else {}
    changed = [name for name, value in description.items() if known.get(name) != value]
    if "files" in changed and isinstance(known.get("files"), dict):
        changed.remove("files")
        changed.append(f"files ({_count_changes(known['files'], description['files'])})")
    if changed:
        raise UserError(
            f"{job.description_path}: describes results that differ in {', '.join(changed)}; delete it and all "
            f"{job.prefix}-* and {job.prefix}.bad-* to predict anew, or choose another --output"
        )


def _count_changes(old, new):
    resized = sum(new[path] != size for path, size in old.items() if path in new)
    return f"{len(new.keys() - old)} added, {len(old.keys() - new)} removed, {resized} of another size"


def _write(text, path):
    with FileSystems.create(path + PARTIAL_SUFFIX, "text/plain") as file:
        file.write(text.encode())
    FileSystems.rename([path + PARTIAL_SUFFIX], [path])


def _describe(job):
    model = describe_model(job.model)
    files = job.files()
    if not files:
        folder = job.pattern.rstrip("/")
        problem = (
            f"is a folder; {folder}/* names the files in it" if os.path.isdir(folder) else "no file has such a name"
        )
        raise UserError(f"--input {job.pattern}: {problem}")
    return {
        "model": model,
        "input": job.pattern,
        "shards": job.shards,
        "min_score": job.min_score,
        "files": dict(files),
    }
