"""What there is to know about the download of a data set."""

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import NamedTuple


class Archive(NamedTuple):
    """An archive as its publisher offers it.

    Attributes:
        name: of the file.
        url: where it is.
        size: in bytes.
        algorithm: of the checksum, a name that hashlib knows.
        checksum: in hexadecimal digits.
        pinned_by: who vouches for the checksum, for messages.
        folder: the one that is unpacked, relative to the folder of the data set; the rest of the archive is left out.
    """

    name: str
    url: str
    size: int
    algorithm: str
    checksum: str
    pinned_by: str
    folder: PurePosixPath


class Count(NamedTuple):
    """A number that tells whether a data set is complete.

    Attributes:
        what: is counted.
        expected: how many there are in a complete data set.
        find: function of the folder of the data set, which may lack anything, that returns a collection of them.
    """

    what: str
    expected: int
    find: Callable


class Download(NamedTuple):
    """A data set of one or several archives.

    Attributes:
        archives: list of Archive.
        counts: list of Count.
        config: path of the configuration that reads the data set.
        directory: the folder of the data set that the configuration names.
    """

    archives: list
    counts: list
    config: str
    directory: PurePosixPath
