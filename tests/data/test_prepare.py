"""Preparing a download: what is verified, what is unpacked, and what is said about what is missing or wrong."""

import hashlib
import io
import re
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fcis_tf.config import load_config
from fcis_tf.data.downloads import COCO, VOC
from fcis_tf.data.downloads.unpack import unpack_archive
from fcis_tf.data.downloads.verify import verify_archive
from fcis_tf.data.prepare import main, prepare
from fcis_tf.errors import UserError

ROOT = Path(__file__).parents[2]

# As the publishers' archives have it: folders among the files, and more than is needed.
SBD_FILES = {
    "benchmark_RELEASE/README": b"read me",
    "benchmark_RELEASE/dataset/train.txt": b"2008_000002\n2008_000003\n",
    "benchmark_RELEASE/dataset/val.txt": b"2008_000007\n",
    **{f"benchmark_RELEASE/dataset/img/2008_00000{i}.jpg": b"jpeg" * i for i in (2, 3, 7)},
    **{f"benchmark_RELEASE/dataset/inst/2008_00000{i}.mat": b"mat" * i for i in (2, 3, 7)},
}
VOC_FILES = {
    "VOCdevkit/VOC2012/ImageSets/Main/train.txt": b"2008_000001\n2008_000002\n",
    "VOCdevkit/VOC2012/ImageSets/Main/val.txt": b"2008_000003\n2008_000007\n",
    "VOCdevkit/VOC2012/JPEGImages/2008_000002.jpg": b"jpeg",
}
COCO_FILES = {
    "train2017.zip": {f"train2017/{i:012}.jpg": bytes(i) for i in range(5)},
    "val2017.zip": {"val2017/000000000009.jpg": b"jpeg"},
    "annotations_trainval2017.zip": {f"annotations/instances_{split}2017.json": b"{}" for split in ("train", "val")},
}


def write_tar(path, files, compression=""):
    with tarfile.open(path, f"w:{compression}") as archive:
        for name, content in files.items():
            if isinstance(content, bytes):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                archive.addfile(content)


def write_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def write_archive(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        write_zip(path, files)
    else:
        write_tar(path, files, "gz" if path.suffix == ".tgz" else "")


def published(archive, path):
    """Describes an archive like the file that was written, as if that were the publisher's."""
    content = path.read_bytes()
    return archive._replace(size=len(content), checksum=hashlib.new(archive.algorithm, content).hexdigest())


def write_download(download, directory, files, numbers):
    """Writes the archives of a data set and describes them, with other numbers to expect."""
    for name, content in files.items():
        write_archive(directory / name, content)
    return download._replace(
        archives=[published(archive, directory / archive.name) for archive in download.archives],
        counts=[count._replace(expected=number) for count, number in zip(download.counts, numbers, strict=True)],
    )


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def voc(directory):
    files = {"benchmark.tgz": SBD_FILES, "VOCtrainval_11-May-2012.tar": VOC_FILES}
    return write_download(VOC, directory, files, [3, 3, 3, 0, 1, 2])


@pytest.fixture
def coco(directory):
    return write_download(COCO, directory, COCO_FILES, [5, 1, 2])


def unpacked(directory):
    """Returns the contents of all files but archives, by path."""
    paths = [path for path in directory.rglob("*") if path.is_file() and path.suffix not in (".zip", ".tar", ".tgz")]
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


# What is unpacked


def test_voc_is_where_its_configuration_reads_it(voc, directory, capsys):
    assert prepare(voc, directory)
    wanted = {name: content for name, content in (SBD_FILES | VOC_FILES).items() if "README" not in name}
    assert unpacked(directory) == wanted
    data = load_config(ROOT / VOC.config).data
    for dataset in (data.train, data.eval):
        for path in (dataset.root, dataset.image_list):
            assert (directory / path.relative_to(VOC.directory)).exists()
    output = capsys.readouterr().out
    assert re.search(r"^images of VOC's Main/val that SBD has +2 +2$", output, re.MULTILINE)
    assert ".venv/bin/python train.py --config configs/voc.yaml" in output


def test_coco_is_where_its_configuration_reads_it(coco, directory, capsys):
    assert prepare(coco, directory)
    assert unpacked(directory) == {name: content for files in COCO_FILES.values() for name, content in files.items()}
    data = load_config(ROOT / COCO.config).data
    for dataset in (data.train, data.eval):
        for path in (dataset.images, dataset.annotations):
            assert (directory / path.relative_to(COCO.directory)).exists()
    assert "--config configs/coco.yaml" in capsys.readouterr().out


def test_a_folder_elsewhere_than_the_configurations_is_said(voc, directory, capsys, monkeypatch):
    assert prepare(voc, directory) and "configs/voc.yaml reads data: " in capsys.readouterr().out
    monkeypatch.chdir(directory.parent)
    assert prepare(voc, Path("data")) and "configs/voc.yaml reads data: " not in capsys.readouterr().out


def test_what_was_unpacked_stays_and_needs_no_archives(voc, directory):
    assert prepare(voc, directory)
    mark = directory / "benchmark_RELEASE" / "dataset" / "mark"
    mark.touch()
    for archive in voc.archives:
        (directory / archive.name).unlink()
    assert prepare(voc, directory) and mark.exists()


def test_an_interrupted_run_is_made_good_by_the_next(voc, directory, monkeypatch):
    def interrupt(source, target):
        target.write(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("shutil.copyfileobj", interrupt)
        prepare(voc, directory)
    assert not (directory / "benchmark_RELEASE").exists()
    (directory / "benchmark.tgz.partial" / "benchmark_RELEASE" / "dataset" / "left").touch()
    assert prepare(voc, directory)
    assert not list(directory.glob("*.partial")) and not list(directory.rglob("left"))


@settings(max_examples=30)
@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,3}(/[a-z]{4,6}){0,2}\.txt", fullmatch=True), st.binary(max_size=99)),
    st.sampled_from([".tar", ".tgz", ".zip"]),
)
def test_unpacks_what_was_packed(tmp_path_factory, files, suffix):
    directory = tmp_path_factory.mktemp("unpack")
    files = {f"a/{name}": content for name, content in files.items()} | {"a/always": b"", "b": b"left out"}
    write_archive(directory / f"archive{suffix}", files)
    unpack_archive(directory / f"archive{suffix}", PurePosixPath("a"), directory)
    assert unpacked(directory) == {name: content for name, content in files.items() if name != "b"}


# What is missing or wrong


def test_all_that_is_missing_is_listed_with_how_to_get_it(directory, capsys):
    for download in (VOC, COCO):
        assert not prepare(download, directory)
        output = capsys.readouterr().out
        for archive in download.archives:
            path = directory / archive.name
            assert f"{path}: missing, {archive.size / 1e9:.1f} GB; download it" in output
            assert re.search(f"curl .*--output {path} {archive.url}\n", output)


def test_what_is_there_is_unpacked_while_another_is_missing(coco, directory, capsys):
    (directory / "train2017.zip").unlink()
    assert not prepare(coco, directory)
    assert (directory / "val2017").is_dir() and (directory / "annotations").is_dir()
    output = capsys.readouterr().out
    assert output.startswith(f"{directory / 'train2017.zip'}: missing") and output.count("curl") == 1


@pytest.mark.parametrize(
    "change, expected",
    [
        (lambda content: content[:-1], "cut off, {less:,} of {size:,} bytes; download the rest"),
        (lambda content: b"", "cut off, 0 of {size:,} bytes; download the rest"),
        (lambda content: b"\n<!DOCTYPE html>", "isn't a .tgz file but a page of the web; delete it and download it"),
        (lambda content: content + b"\0", "has {more:,} bytes; expected {size:,}; remove it and download it again"),
        (lambda content: bytes([content[0] ^ 1]) + content[1:], "as torchvision pins it; remove it and download it"),
    ],
    ids=["cut off", "empty", "page", "too long", "changed"],
)
def test_a_download_that_is_not_what_was_published(change, expected, voc, directory, capsys):
    path = directory / "benchmark.tgz"
    size = path.stat().st_size
    path.write_bytes(change(path.read_bytes()))
    assert not prepare(voc, directory)
    output = capsys.readouterr().out
    assert f"{path}: " in output and expected.format(size=size, less=size - 1, more=size + 1) in output
    assert f"--output {path} {voc.archives[0].url}\n" in output and not (directory / "benchmark_RELEASE").exists()
    assert (directory / "VOCdevkit").is_dir()


def test_a_folder_that_lacks_files_is_counted_and_said(voc, directory, capsys):
    assert prepare(voc, directory)
    (directory / "benchmark_RELEASE" / "dataset" / "inst" / "2008_000003.mat").unlink()
    capsys.readouterr()
    assert not prepare(voc, directory)
    output = capsys.readouterr().out
    assert re.search(r"^files of their instances +3 +2$", output, re.MULTILINE)
    assert re.search(r"^of these, without a file +0 +1$", output, re.MULTILINE)
    assert str(directory / "benchmark_RELEASE" / "dataset") in output and "train.py" not in output


def test_empty_folders_are_counted_as_such(voc, directory):
    for archive in voc.archives:
        (directory / archive.folder).mkdir(parents=True)
    assert not prepare(voc, directory)


def unpack_error(path, folder="a"):
    with pytest.raises(UserError) as caught:
        unpack_archive(path, PurePosixPath(folder), path.parent)
    assert "\n" not in str(caught.value) and str(path.parent) in str(caught.value)
    assert not (path.parent / folder).exists()
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".tar", ".tgz", ".zip"])
@pytest.mark.parametrize("name", ["a/../../evil", "a/b/../../../evil"])
def test_paths_that_lead_out_are_refused(tmp_path, suffix, name):
    path = tmp_path / "data" / f"archive{suffix}"
    write_archive(path, {"a/b": b"", name: b"evil"})
    assert f"{path}: {name}: a link, a device or a path that leads out" in unpack_error(path)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("suffix", [".tar", ".tgz", ".zip"])
def test_other_paths_are_left_out(tmp_path, suffix):
    path, absolute = tmp_path / "data" / f"archive{suffix}", tmp_path / "absolute"
    write_archive(path, {"a/b": b"b", "../evil": b"evil", str(absolute): b"evil", "aa/b": b"other"})
    unpack_archive(path, PurePosixPath("a"), path.parent)
    assert unpacked(tmp_path) == {"data/a/b": b"b"}


def special(kind):
    info = tarfile.TarInfo("a/b")
    info.type, info.linkname = kind, "../../evil"
    return info


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_of_a_tar_are_refused(tmp_path, kind):
    write_tar(tmp_path / "archive.tar", {"a/a": b"", "a/b": special(kind)})
    assert "a/b: a link, a device or a path that leads out" in unpack_error(tmp_path / "archive.tar")


def test_links_of_a_zip_are_refused(tmp_path):
    link = zipfile.ZipInfo("a/b")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr(link, "../../evil")
    assert "a/b: a link, a device or a path that leads out" in unpack_error(tmp_path / "archive.zip")


@pytest.mark.parametrize("suffix", [".tar", ".tgz", ".zip"])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_damaged_archives_leave_nothing(tmp_path, suffix, share):
    path = tmp_path / f"archive{suffix}"
    write_archive(path, {f"a/{i}": bytes(range(256)) * 40 for i in range(9)})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert unpack_error(path).startswith(f"{path}: damaged, remove it and download it again: ")


def test_a_zip_of_a_changed_file_is_damaged(tmp_path):
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/b", "hello")
    path.write_bytes(path.read_bytes().replace(b"hello", b"jello"))
    assert unpack_error(path).startswith(f"{path}: damaged, remove it and download it again: Bad CRC-32")


def test_an_archive_of_something_else(tmp_path):
    write_archive(tmp_path / "archive.tar", {"b": b"b"})
    assert "has no files in a; expected the archive that" in unpack_error(tmp_path / "archive.tar")


def test_a_disk_that_is_full(tmp_path, monkeypatch):
    write_archive(tmp_path / "archive.tar", {"a/b": bytes(10**6)})
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10**5))
    assert unpack_error(tmp_path / "archive.tar").endswith("archive.tar takes 0.0 GB there, but 0.0 GB are free")
    assert list(tmp_path.iterdir()) == [tmp_path / "archive.tar"]


def test_files_and_folders_that_cannot_be_read_or_written(tmp_path):
    (tmp_path / "archive.zip").mkdir()
    archive = VOC.archives[0]._replace(size=(tmp_path / "archive.zip").stat().st_size)
    with pytest.raises(UserError, match="archive.zip: cannot be read: Is a directory"):
        verify_archive(archive, tmp_path / "archive.zip")
    write_archive(tmp_path / "archive.tar", {"a/b": b"file", "a/b/c": b"in a file"})
    assert "cannot unpack archive.tar there: " in unpack_error(tmp_path / "archive.tar")


# The program


def test_exit_status(voc, coco, directory, monkeypatch, capsys):
    monkeypatch.setattr("fcis_tf.data.prepare._DOWNLOADS", {"voc": voc, "coco": coco})

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["prepare", *map(str, arguments)])
        return main()

    assert run("voc", directory) == 0 and run("voc", directory) == 0 and run("coco", directory) == 0
    assert run("voc", directory / "missing") == 1
    with pytest.raises(SystemExit) as exit_:
        run("imagenet", directory)
    assert exit_.value.code == 2 and "choose from" in capsys.readouterr().err
