"""Checks and unpacks a downloaded data set: `python -m fcis_tf.data.prepare voc data`."""

import argparse
import shlex
from pathlib import Path

from fcis_tf.command_line import run_program
from fcis_tf.data.downloads import COCO, VOC
from fcis_tf.data.downloads.unpack import unpack_archive
from fcis_tf.data.downloads.verify import verify_archive
from fcis_tf.errors import UserError

_DOWNLOADS = {"voc": VOC, "coco": COCO}


def main():
    parser = argparse.ArgumentParser(
        prog="python -m fcis_tf.data.prepare",
        description="Says what of a data set has to be downloaded, and from where; checks and unpacks what was, and "
        "counts it. It downloads nothing itself, and may be run again at any time.",
    )
    parser.add_argument("dataset", choices=_DOWNLOADS, help="voc: PASCAL VOC 2012 with SBD's masks; coco: COCO 2017")
    parser.add_argument("directory", type=Path, metavar="DIR", help="where the archives are, and are unpacked")
    arguments = parser.parse_args()
    return 0 if prepare(_DOWNLOADS[arguments.dataset], arguments.directory) else 1


def prepare(download, directory):
    """Checks and unpacks the archives of a data set, as far as they are there, and prints what is to be done.

    Args:
        download: Download.
        directory: pathlib.Path of the folder that has the archives, and gets what is in them.

    Returns:
        Whether the data set is complete.
    """
    waiting = [archive for archive in download.archives if not (directory / archive.folder).is_dir()]
    # Those that are missing come first: to unpack the others takes minutes.
    waiting.sort(key=lambda archive: (directory / archive.name).exists())
    if not all([_unpack(archive, directory) for archive in waiting]):
        return False
    found = [len(count.find(directory)) for count in download.counts]
    print(_table(download.counts, found))
    if found != [count.expected for count in download.counts]:
        folders = ", ".join(str(directory / archive.folder) for archive in download.archives)
        print(f"\nA folder is incomplete or another; remove it and run this again. There are: {folders}")
        return False
    print(_next_steps(download, directory))
    return True


def _unpack(archive, directory):
    """Verifies and unpacks an archive; returns whether that went well, and else prints what to do."""
    path = directory / archive.name
    try:
        verify_archive(archive, path)
    except UserError as error:
        print(f"{error}:\n  {_download_command(archive, path)}")
        return False
    try:
        unpack_archive(path, archive.folder, directory)
    except UserError as error:
        print(error)
        return False
    print(f"{path}: unpacked to {directory / archive.folder}; the archive is no longer needed")
    return True


def _download_command(archive, path):
    return f"curl --fail --location --create-dirs --continue-at - --output {shlex.quote(str(path))} {archive.url}"


def _table(counts, found):
    width = max(len(count.what) for count in counts)
    lines = [f"{'':{width}}{'expected':>10}{'found':>10}"]
    lines += [f"{count.what:{width}}{count.expected:>10,}{n:>10,}" for count, n in zip(counts, found, strict=True)]
    return "\n".join(lines)


def _next_steps(download, directory):
    here = directory.resolve() == Path(download.directory).resolve()
    note = "" if here else f" {download.config} reads {download.directory}: link it there, or change its paths."
    return f"""
Everything is there.{note} What to type next:
  .venv/bin/python -m fcis_tf.data.check --config {download.config}
  .venv/bin/python train.py --config {download.config}"""


if __name__ == "__main__":
    run_program(main)
