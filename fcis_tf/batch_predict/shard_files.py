"""The files of a shard: results and bad images, as JSON lines, which appear when they are complete."""

import contextlib
import json
import uuid

from apache_beam.io.filesystems import FileSystems

from fcis_tf.errors import UserError

PARTIAL_SUFFIX = ".partial"


def results_path(prefix, shard, shards):
    """Returns the path of a shard's COCO results, one a line."""
    return f"{prefix}-{shard:05d}-of-{shards:05d}.jsonl"


def bad_path(prefix, shard, shards):
    """Returns the path of a shard's bad images: one a line, with `file_name` and `reason`."""
    return results_path(f"{prefix}.bad", shard, shards)


def is_finished(prefix, shard, shards):
    """Returns whether a shard's files are there, which are complete then."""
    return FileSystems.exists(results_path(prefix, shard, shards))


class ShardFiles:
    """Writes the files of a shard under other names, and renames them at the end of a `with` statement.

    Several may write the same shard at once, as where a runner takes a worker for lost: their files have the same
    contents. After an exception there are none.
    """

    def __init__(self, prefix, shard, shards):
        """Takes what `results_path` takes; nothing is written yet."""
        # The results last: where they are, the shard is finished.
        self._paths = [path(prefix, shard, shards) for path in (bad_path, results_path)]
        self._partial_paths = [f"{path}.{uuid.uuid4().hex}{PARTIAL_SUFFIX}" for path in self._paths]

    def __enter__(self):
        with explained(self._paths[-1]):
            self._bad, self._results = (FileSystems.create(path, "text/plain") for path in self._partial_paths)
        return self

    def __exit__(self, exception_type, *_):
        with explained(self._paths[-1]):
            self._bad.close()
            self._results.close()
            if exception_type:
                FileSystems.delete(self._partial_paths)
                return
            for partial_path, path in zip(self._partial_paths, self._paths, strict=True):
                FileSystems.rename([partial_path], [path])

    def write_results(self, results):
        """Writes COCO results, a list of dicts."""
        with explained(self._paths[-1]):
            self._results.write("".join(json.dumps(result) + "\n" for result in results).encode())

    def write_bad(self, file_name, reason):
        """Writes an image's name, and why there are no results for it."""
        with explained(self._paths[-1]):
            self._bad.write((json.dumps({"file_name": file_name, "reason": reason}) + "\n").encode())


@contextlib.contextmanager
def explained(path):
    """Within this context errors of writing become UserErrors that name the file."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: cannot write this file: {error.strerror or error}") from None
