"""Whether a downloaded archive is the one that was published."""

import hashlib

from tqdm import tqdm

from fcis_tf.errors import UserError

_CHUNK = 1 << 20


def verify_archive(archive, path):
    """Checks the size and the checksum of a downloaded archive.

    Args:
        archive: Archive, as it was published.
        path: pathlib.Path of the file.

    Raises:
        UserError: the file is missing, cannot be read or is another; the message names it.
    """
    try:
        _check_begin(path)
        size = path.stat().st_size
        if size < archive.size:
            raise UserError(f"{path}: cut off, {size:,} of {archive.size:,} bytes; download the rest")
        if size > archive.size:
            raise UserError(f"{path}: has {size:,} bytes; expected {archive.size:,}; remove it and download it again")
        checksum = _checksum(path, archive.algorithm, size)
    except FileNotFoundError:
        raise UserError(f"{path}: missing, {archive.size / 1e9:.1f} GB; download it") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if checksum != archive.checksum:
        raise UserError(
            f"{path}: its {archive.algorithm} is {checksum}; expected {archive.checksum}, as {archive.pinned_by} pins "
            "it; remove it and download it again"
        )


def _check_begin(path):
    """Checks that a file doesn't begin like a page of the web, which says what went wrong in place of the archive."""
    with open(path, "rb") as file:
        if file.read(512).lstrip()[:1] == b"<":
            raise UserError(f"{path}: isn't a {path.suffix} file but a page of the web; delete it and download it anew")


def _checksum(path, algorithm, size):
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with (
        open(path, "rb") as file,
        tqdm(total=size, desc=f"Checking {path.name}", unit="B", unit_scale=True, delay=2, leave=False) as progress,
    ):
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            progress.update(len(chunk))
    return digest.hexdigest()
