"""Unpacking a downloaded archive whole or not at all."""

import os
import shutil

from tqdm import tqdm

from fcis_tf.data.downloads.members import open_members
from fcis_tf.errors import UserError


def unpack_archive(path, folder, directory):
    """Unpacks one folder of an archive.

    The folder appears when it is complete. What an interrupted run left behind is removed.

    Args:
        path: pathlib.Path of the archive.
        folder: PurePosixPath in the archive, and in `directory`, where there must be none yet.
        directory: pathlib.Path of a directory.

    Raises:
        UserError: the archive is damaged or not what it should be, or the disk is full or cannot be written to.
    """
    partial = directory / f"{path.name}.partial"
    try:
        if partial.exists():
            shutil.rmtree(partial)
        with open_members(path, folder) as members:
            _check_space(path, sum(members.sizes.values()), directory)
            _write_members(members, partial, f"Unpacking {path.name}")
        (directory / folder).parent.mkdir(parents=True, exist_ok=True)
        os.rename(partial / folder, directory / folder)
        shutil.rmtree(partial)
    except OSError as error:
        raise UserError(f"{directory}: cannot unpack {path.name} there: {error.strerror}") from None


def _check_space(path, needed, directory):
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise UserError(f"{directory}: {path.name} takes {needed / 1e9:.1f} GB there, but {free / 1e9:.1f} GB are free")


def _write_members(members, directory, description):
    """Writes files of an archive, with the modes and times of new ones."""
    total = sum(members.sizes.values())
    with tqdm(total=total, desc=description, unit="B", unit_scale=True, delay=2, leave=False) as progress:
        for name, size in members.sizes.items():
            target = directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with members.open(name) as source, open(target, "wb") as file:
                shutil.copyfileobj(source, file)
            progress.update(size)
