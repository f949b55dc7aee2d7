"""The files in an archive, whether it is a tar or a zip."""

import contextlib
import gzip
import stat
import tarfile
import zipfile
import zlib
from pathlib import PurePosixPath

from tqdm import tqdm

from fcis_tf.errors import UserError

# What the readers of damaged archives raise; the last two tell of compressions that they lack and of passwords.
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)


class Members:
    """The files in a folder of an open archive.

    Attributes:
        sizes: dict from the path of each file, a PurePosixPath, to how many bytes it has.
    """

    def __init__(self, infos, open_member):
        """Takes the members by path, as the archive's module describes them, and how one is opened for reading."""
        self.sizes = {path: size for path, (_, size) in infos.items()}
        self._infos = infos
        self._open = open_member

    def open(self, path):
        """Opens a file for reading."""
        info, _ = self._infos[path]
        return self._open(info)


@contextlib.contextmanager
def open_members(path, folder):
    """Opens an archive and lists the files in one of its folders.

    Nothing but files is ever listed, and none that lies outside of the folder, whatever the archive says.

    Args:
        path: pathlib.Path of a tar, compressed or not, or of a zip.
        folder: PurePosixPath in the archive.

    Yields:
        Members, in the order in which they are read fastest, that of the archive.

    Raises:
        UserError: the archive is damaged, which may only show while its files are read, or it has a link, a device or
            a path with .. in the folder, or no file at all.
    """
    try:
        open_archive = _open_zip if path.suffix == ".zip" else _open_tar
        with open_archive(path, folder) as members:
            if not members.sizes:
                raise UserError(f"{path}: has no files in {folder}; expected the archive that its publisher offers")
            yield members
    except _DAMAGE as error:
        raise UserError(f"{path}: damaged, remove it and download it again: {error}") from None


@contextlib.contextmanager
def _open_zip(path, folder):
    with zipfile.ZipFile(path) as archive:
        infos = {}
        for info in archive.infolist():
            name = PurePosixPath(info.filename)
            if name.is_relative_to(folder) and not info.is_dir():
                kind = stat.S_IFMT(info.external_attr >> 16)
                _check(name, kind in (0, stat.S_IFREG), path)
                infos[name] = info, info.file_size
        yield Members(infos, archive.open)


@contextlib.contextmanager
def _open_tar(path, folder):
    with tarfile.open(path) as archive:
        infos = {}
        # A compressed one has to be read to its end for that.
        for info in tqdm(archive, f"Listing {path.name}", unit=" files", delay=2, leave=False):
            name = PurePosixPath(info.name)
            if name.is_relative_to(folder) and not info.isdir():
                _check(name, info.isfile(), path)
                infos[name] = info, info.size
        yield Members(infos, archive.extractfile)


def _check(name, is_file, path):
    if not is_file or ".." in name.parts:
        raise UserError(
            f"{path}: {name}: a link, a device or a path that leads out of the folder; expected files alone, as in the "
            "archive that its publisher offers"
        )
