"""COCO of 2017, which the configuration coco.yaml reads."""

from pathlib import PurePosixPath

from fcis_tf.data.downloads.download import Archive, Count, Download

COCO = Download(
    archives=[
        Archive(
            name="train2017.zip",
            url="http://images.cocodataset.org/zips/train2017.zip",
            size=19_336_861_798,
            algorithm="sha256",
            checksum="69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
            pinned_by="TensorFlow Datasets",
            folder=PurePosixPath("train2017"),
        ),
        Archive(
            name="val2017.zip",
            url="http://images.cocodataset.org/zips/val2017.zip",
            size=815_585_330,
            algorithm="sha256",
            checksum="4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
            pinned_by="TensorFlow Datasets",
            folder=PurePosixPath("val2017"),
        ),
        Archive(
            name="annotations_trainval2017.zip",
            url="http://images.cocodataset.org/annotations/annotations_trainval2017.zip",
            size=252_907_541,
            algorithm="sha256",
            checksum="113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
            pinned_by="TensorFlow Datasets",
            folder=PurePosixPath("annotations"),
        ),
    ],
    counts=[
        Count("images to train on", 118_287, lambda directory: list(directory.glob("train2017/*.jpg"))),
        Count("images to evaluate on", 5_000, lambda directory: list(directory.glob("val2017/*.jpg"))),
        Count("files of instances", 2, lambda directory: list(directory.glob("annotations/instances_*.json"))),
    ],
    config="configs/coco.yaml",
    directory=PurePosixPath("data/coco"),
)
