"""PASCAL VOC 2012 with SBD's masks, which the configuration voc.yaml reads."""

from pathlib import PurePosixPath

from fcis_tf.data.downloads.download import Archive, Count, Download

_SBD = PurePosixPath("benchmark_RELEASE/dataset")
_VOC = PurePosixPath("VOCdevkit/VOC2012")


def _stems(folder, pattern):
    return {path.stem for path in folder.glob(pattern)}


def _listed(path):
    """Returns the ids of a list of images; none where there is no such list."""
    return set(path.read_text(encoding="utf-8").split()) if path.is_file() else set()


def _annotated(directory):
    return _listed(directory / _SBD / "train.txt") | _listed(directory / _SBD / "val.txt")


def _without_files(directory):
    sbd = directory / _SBD
    return _annotated(directory) - (_stems(sbd, "img/*.jpg") & _stems(sbd, "inst/*.mat"))


def _of_main_list(directory, split):
    """Returns the images of one of VOC's lists that SBD annotates, those of the paper's protocol, SDS."""
    return _annotated(directory) & _listed(directory / _VOC / "ImageSets" / "Main" / f"{split}.txt")


VOC = Download(
    archives=[
        Archive(
            name="benchmark.tgz",
            url="https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
            size=1_419_539_633,
            algorithm="md5",
            checksum="82b4d87ceb2ed10f6038a1cba92111cb",
            pinned_by="torchvision",
            folder=_SBD,
        ),
        Archive(
            name="VOCtrainval_11-May-2012.tar",
            url="https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
            size=1_999_639_040,
            algorithm="md5",
            checksum="6cd6e144f989b92b3379bac3b3de84fd",
            pinned_by="torchvision",
            folder=_VOC,
        ),
    ],
    counts=[
        Count("images of SBD", 11_355, lambda directory: _stems(directory / _SBD, "img/*.jpg")),
        Count("files of their instances", 11_355, lambda directory: _stems(directory / _SBD, "inst/*.mat")),
        Count("images in SBD's lists", 11_355, _annotated),
        Count("of these, without a file", 0, _without_files),
        Count("images of VOC's Main/train that SBD has", 5_623, lambda directory: _of_main_list(directory, "train")),
        Count("images of VOC's Main/val that SBD has", 5_732, lambda directory: _of_main_list(directory, "val")),
    ],
    config="configs/voc.yaml",
    directory=PurePosixPath("data"),
)
