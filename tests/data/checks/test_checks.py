"""Each known cause of a network that learns nothing is found in a data set that has it, and in no healthy one."""

import copy
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from tests.data.checks.data_sets import HEIGHT, WIDTH, DataSet, faults, house, write_config
from tests.data.test_coco import COCO100
from tests.data.voc_folders import write_sbd, write_voc


@pytest.fixture
def pair(tmp_path):
    """Two healthy data sets, for training and for evaluation."""
    return DataSet(tmp_path, "train"), DataSet(tmp_path, "eval")


@pytest.fixture
def found(tmp_path, pair):
    """A function that returns the findings of the two data sets, as texts."""

    def find(max_images=0, **model):
        train, evaluation = pair
        path = write_config(tmp_path, train.write(), evaluation.write(), **model)
        return [finding.report("data") for finding in faults(path, max_images=max_images)]

    return find


def only(findings):
    """Returns the one finding of a list."""
    assert len(findings) == 1, "\n".join(findings)
    return findings[0]


def test_nothing_is_found_in_healthy_data(found):
    assert found(max_images=None) == []


@pytest.mark.skipif(not COCO100.exists(), reason="needs shared/data")
def test_photographs_of_coco_have_no_errors(tmp_path):
    section = {"format": "coco", "images": str(COCO100 / "images"), "annotations": str(COCO100 / "instances.json")}
    path = write_config(tmp_path, section, section, anchor_scales=[1, 2, 4, 8, 16, 32])
    size = ["data.short_side=416", "data.long_side=704"]
    assert [finding.message for finding in faults(path, size, max_images=5) if finding.level == "error"] == []


# Ids


@pytest.mark.parametrize(
    "change, expected",
    [
        (lambda i: i - 1, "Add 1 to every category_id"),
        (lambda i: i + 1, "Subtract 1 from every category_id"),
        (lambda i: {3: 0, 7: 1}[i], "counted from 0"),
        (lambda i: {3: 1, 7: 2}[i], "counted from 1"),
        (str, "without quotes"),
        (lambda i: {3: "cup", 7: "pot"}[i], "whose names these are"),
        (lambda i: {3: 3, 7: 99}[i], "such as 99"),
        (lambda i: [i], "6 of 6 annotations have no category_id"),
        (lambda i: {3: 3.5, 7: 7}[i], "such as 3.5"),
    ],
)
def test_category_ids(pair, found, change, expected):
    for annotation in pair[0].annotations:
        annotation["category_id"] = change(annotation["category_id"])
    first = found()[0]
    assert first.startswith("error") and expected in first and "category_id" in first


def test_stray_category_ids_are_no_reason_to_change_all(pair, found):
    del pair[0].annotations[1]["category_id"]
    findings = found()
    assert any("1 of 6 annotations have no category_id" in finding for finding in findings)
    assert not any("every category_id" in finding for finding in findings)
    pair[0].categories[1]["id"] = pair[1].categories[1]["id"] = 3
    findings = found()
    assert any("several categories have the same id: 3" in finding for finding in findings)
    assert not any("every category_id" in finding for finding in findings)


def test_whole_numbers_may_be_written_as_fractions(pair, found):
    for data_set in pair:
        for annotation in data_set.annotations:
            annotation.update(category_id=float(annotation["category_id"]), image_id=float(annotation["image_id"]))
        for image in data_set.images:
            image["width"] = float(image["width"])
    assert found(max_images=1) == []


def test_categories_that_start_at_0_are_told(pair, found):
    for category, number in zip(pair[0].categories, (0, 1), strict=True):
        category["id"] = number
    for annotation in pair[0].annotations:
        annotation["category_id"] = {3: 1, 7: 2}[annotation["category_id"]]
    assert "off by one; the ids in categories start at 0" in found()[0]


@pytest.mark.parametrize(
    "change, expected",
    [
        (lambda i: i - 1, "Add 1 to every image_id"),
        (lambda i: i + 1, "Subtract 1 from every image_id"),
        (str, "without quotes"),
        (lambda i: f"train{i // 10}", "file names"),
        (lambda i: f"train{i // 10}.png", "file names"),
        (lambda i: i + 1000, "3 of 3 images have no annotation"),
    ],
)
def test_image_ids(pair, found, change, expected):
    for annotation in pair[0].annotations:
        annotation["image_id"] = change(annotation["image_id"])
    first = found()[0]
    assert first.startswith("error") and expected in first


def test_quoted_ids_of_images(pair, found):
    for image in pair[0].images:
        image["id"] = str(image["id"])
    assert "the ids in images are numbers in quotes" in found()[0]


# Boxes


@pytest.mark.parametrize(
    "change, expected",
    [
        (lambda x, y, w, h: [x, y, x + w, y + h], "read as (xmin, ymin, xmax, ymax)"),
        (lambda x, y, w, h: [x, y, w - x, h - y], "made xywh twice"),
        (lambda x, y, w, h: [x + w / 2, y + h / 2, w, h], "the centre"),
        (lambda x, y, w, h: [y, x, h, w], "read as (y, x, height, width)"),
        (lambda x, y, w, h: [y, x, y + h, x + w], "read as (ymin, xmin, ymax, xmax)"),
        (lambda x, y, w, h: [(x + 70) % 100, (y + 50) % 80, 9, 9], "IoU of less than"),
    ],
)
def test_boxes_that_contradict_masks(pair, found, change, expected):
    for annotation in pair[0].annotations:
        annotation["bbox"] = change(*annotation["bbox"])
    first = found()[0]
    assert first.startswith("error") and expected in first and "annotations[" in first


def test_a_single_wrong_box_is_a_warning(pair, found):
    pair[0].annotations[3]["bbox"] = [60, 1, 30, 30]
    finding = only(found())
    assert finding.startswith("warning") and "1 of 6" in finding and "annotations[3] (id 127) of train2.png" in finding


@pytest.mark.parametrize("fields", [("bbox",), ("segmentation",), ("bbox", "segmentation")])
def test_normalised_coordinates(pair, found, fields):
    for annotation in pair[0].annotations:
        scaled = annotation["bbox"] / np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])
        values = {"bbox": scaled.tolist(), "segmentation": [house(*scaled.tolist())]}
        annotation.update({field: values[field] for field in fields})
    errors = [finding for finding in found() if "normalised" in finding]
    assert len(errors) == len(fields) and all(error.startswith("error") for error in errors)


def test_boxes_beyond_the_image_without_masks(pair, found):
    for annotation in pair[0].annotations:
        x, y, width, height = annotation["bbox"]
        annotation["bbox"] = [x, y, x + width, y + height]
        del annotation["segmentation"]
    assert any("beyond" in finding and "all boxes fit if they are read as (xmin" in finding for finding in found())


# Masks


@pytest.mark.parametrize(
    "segmentation, expected",
    [
        (None, "no segmentation"),
        ([], "no segmentation"),
        ([[5, 5, 5, 5, 5, 5]], "without an area"),
        ([["a", 1, 2, 3, 4, 5]], "neither polygons"),
        ({"size": [HEIGHT, WIDTH], "counts": [5]}, "neither polygons"),
        ("masks/1.png", "neither polygons"),
    ],
)
def test_annotations_without_masks(pair, found, segmentation, expected):
    for annotation in pair[0].annotations:
        annotation["segmentation"] = segmentation
    assert any(finding.startswith("error") and expected in finding for finding in found())


def test_masks_that_are_their_boxes(pair, found):
    for annotation in pair[0].annotations:
        x, y, width, height = annotation["bbox"]
        annotation["segmentation"] = [[x, y, x + width, y, x + width, y + height, x, y + height, x, y]]
    finding = only(found())
    assert finding.startswith("warning") and "6 of 6 masks are rectangles" in finding


def runs(annotation, height, width):
    """The mask of an annotation as run lengths for an image of a size."""
    encoded = coco_mask.merge(coco_mask.frPyObjects(annotation["segmentation"], height, width))
    return {"size": [height, width], "counts": encoded["counts"].decode()}


def test_run_lengths_of_the_image_size_are_no_fault(pair, found):
    for annotation in pair[0].annotations:
        annotation["segmentation"] = runs(annotation, HEIGHT, WIDTH)
    assert found() == []


@pytest.mark.parametrize("size, expected", [((WIDTH, HEIGHT), "[width, height]"), ((200, 300), "300 x 200 instead")])
def test_run_lengths_of_other_sizes(pair, found, size, expected):
    for annotation in pair[0].annotations:
        annotation["segmentation"] = runs(annotation, *size)
    assert any(finding.startswith("error") and expected in finding for finding in found())


def test_polygons_beyond_the_image(pair, found):
    for annotation in pair[0].annotations:
        annotation["segmentation"] = [[3 * value for value in annotation["segmentation"][0]]]
        annotation["bbox"] = [3 * value for value in annotation["bbox"]]
    assert any("polygons reach far beyond their image" in finding for finding in found())


# Instances


def test_crowds_only(pair, found):
    for annotation in pair[1].annotations:
        annotation["iscrowd"] = 1
    assert any(finding.startswith("error") and "all 6 annotations have iscrowd 1" in finding for finding in found())


def test_copies_of_an_instance(pair, found):
    pair[0].annotations.append(copy.deepcopy(pair[0].annotations[0]) | {"id": 1})
    finding = only(found())
    assert "1 of 7 annotations repeat" in finding and "annotations[6]" in finding


def test_instances_that_anchors_do_not_reach(found):
    findings = found(anchor_scales=[0.5])
    assert len(findings) == 2 and all(finding.startswith("error") and "6 of 6" in finding for finding in findings)
    assert "Set model.anchor_scales: [0.5, 2, 4]" in findings[0] and "leave 0 % unreached" in findings[0]


# Classes


def test_no_images_and_no_annotations(pair, found):
    pair[0].images.clear()
    assert any(finding.startswith("error") and "no images" in finding for finding in found())
    pair[1].annotations.clear()
    assert any(finding.startswith("error") and "no annotations" in finding for finding in found())


def test_the_background_as_a_category(pair, found):
    for data_set in pair:
        data_set.categories.insert(0, {"id": 0, "name": "_background_"})
    findings = found()
    assert len(findings) == 2 and "'_background_'" in findings[0] and "1 of 3 classes have no instance" in findings[1]


def test_names_that_stand_there_twice(pair, found):
    for data_set in pair:
        data_set.categories[1]["name"] = "cup"
    assert "several categories have the same name: cup" in only(found())


def test_classes_that_differ(pair, found):
    pair[1].categories[1]["name"] = "pan"
    first = found()[0]
    assert first.startswith("error") and "only in data.train: pot" in first and "only in data.eval: pan" in first


def test_classes_in_another_order(pair, found):
    for category, number in zip(pair[1].categories, (7, 3), strict=True):
        category["id"] = number
    assert "class 1 is 'cup' in one, 'pot' in the other" in only(found())


def test_classes_that_training_never_sees(pair, found):
    pair[0].annotations = [a for a in pair[0].annotations if a["category_id"] == 3]
    findings = found()
    assert len(findings) == 2 and "1 classes have instances in data.eval, but none in data.train: pot" in findings[1]


def test_evaluation_on_training_images(tmp_path, pair):
    pair[1].images[0]["file_name"] = "../train/train1.png"
    section = pair[0].write()
    (finding,) = faults(write_config(tmp_path, section, section))
    assert finding.level == "warning" and "3 of 3 images of data.eval are those of data.train" in finding.message


# Image files


@pytest.mark.parametrize(
    "name, expected",
    [
        ("http://host/train1.png", "1 of 3 file names are URLs"),
        ("images\\train1.png", "1 of 3 file names are paths with backslashes"),
        ("train2.png", "1 files are those of several images"),
    ],
)
def test_file_names(pair, found, name, expected):
    pair[0].images[0]["file_name"] = name
    assert any(expected in finding and name in finding for finding in found())


def test_missing_files(pair, found):
    (pair[0].folder / "train2.png").unlink()
    finding = found(max_images=None)[0]
    assert finding.startswith("error") and "1 of 3 images have no file" in finding and "train2.png" in finding


def test_truncated_files(pair, found):
    path = pair[0].folder / "train2.png"
    path.write_bytes(path.read_bytes()[:300])
    assert any("1 of 3 images cannot be read" in finding and "train2.png" in finding for finding in found(max_images=3))


def test_extensions_do_not_matter(pair, found):
    pair[0].images[0]["file_name"] = "photograph.jpg"
    (pair[0].folder / "train1.png").rename(pair[0].folder / "photograph.jpg")
    assert found(max_images=3) == []


@pytest.mark.parametrize(
    "size, expected",
    [((HEIGHT, WIDTH), "height and width swapped"), ((2 * WIDTH, 2 * HEIGHT), "another size than the annotations say")],
)
def test_sizes_of_files(pair, found, size, expected):
    for image in pair[0].images:
        Image.new("RGB", size).save(pair[0].folder / image["file_name"])
    assert any(finding.startswith("error") and expected in finding for finding in found(max_images=3))


def turned(size, path, orientation=6):
    """Writes an image that EXIF turns, by 90 degrees unless told else, of a size (width, height) as stored."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size).save(path, exif=exif)


def test_images_that_exif_turns(pair, found):
    for data_set in pair:
        for image in data_set.images:
            turned((HEIGHT, WIDTH), data_set.folder / image["file_name"])
    assert found(max_images=3) == []
    for data_set in pair:
        for image in data_set.images:
            turned((WIDTH, HEIGHT), data_set.folder / image["file_name"])
    assert all("annotated as they are stored" in finding for finding in found(max_images=3))
    assert len(found(max_images=3)) == 2


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_images_that_exif_turns_without_a_trace_in_their_size(pair, found, orientation):
    turned((WIDTH, HEIGHT), pair[0].folder / "train2.png", orientation)
    finding = only(found(max_images=3))
    assert finding.startswith("warning") and "1 of 3 images have an EXIF orientation" in finding
    assert "train2.png" in finding


def test_few_images_can_be_decoded(tmp_path, pair):
    for image in pair[0].images:
        (pair[0].folder / image["file_name"]).unlink()
    path = write_config(tmp_path, pair[0].write(), pair[1].write())
    assert any("2 of 2 images have no file" in finding.message for finding in faults(path, max_images=2))


# Other formats, and files that are no data sets


def test_healthy_data_of_other_formats(tmp_path):
    write_sbd(tmp_path / "sbd", train=["a1"], val=["b1"])
    write_voc(tmp_path / "voc", train=["a1"], val=["b1"])
    sbd = {"format": "sbd", "root": str(tmp_path / "sbd"), "split": "train"}
    voc = {"format": "voc", "root": str(tmp_path / "voc"), "split": "val"}
    digits = {"format": "digits", "split": "eval", "scenes": 2, "height": HEIGHT, "width": WIDTH}
    for train, evaluation in ((sbd, voc), (digits | {"split": "train"}, digits)):
        findings = faults(write_config(tmp_path, train, evaluation), max_images=int(train is sbd))
        assert [finding for finding in findings if finding.level == "error"] == []


def test_what_the_reader_refuses_is_told(tmp_path, pair):
    missing = pair[0].write() | {"annotations": str(tmp_path / "nowhere.json")}
    findings = faults(write_config(tmp_path, missing, pair[1].write()))
    assert findings[0].level == "error" and "nowhere.json: no such file" in findings[0].message


def test_what_the_reader_leaves_out_is_told(pair, found):
    pair[0].annotations[0]["segmentation"] = [[1, 2, 3, 4]]
    assert any("are skipped" in finding and "annotations[0]" in finding for finding in found())


def test_a_data_set_of_which_half_is_left_out(tmp_path, pair, found):
    for annotation in pair[0].annotations[:3]:
        annotation["iscrowd"] = 2
    first = found()[0]
    assert first.startswith("error") and "3 of 6 annotations are left out" in first and "(3), for example" in first
    write_sbd(tmp_path / "sbd", train=["a1", "a2"], val=["b1"])
    (tmp_path / "sbd" / "inst" / "a2.mat").unlink()
    sbd = {"format": "sbd", "root": str(tmp_path / "sbd"), "split": "train"}
    findings = faults(write_config(tmp_path, sbd, sbd | {"split": "val"}), max_images=0)
    assert any("1 of 2 images are left out" in finding.message for finding in findings if finding.level == "error")


def test_names_are_printable(pair, found):
    for data_set in pair:
        data_set.categories.append({"id": 9, "name": "\x1b[31m\u202e"})
    assert all(r"\x1b[31m\u202e" in finding and "\x1b" not in finding for finding in found())
    pair[0].categories[0]["name"], pair[0].images[0]["file_name"] = "\ud800", "\ud800.png"
    assert any(r"'\ud800' cannot be written as UTF-8" in finding for finding in found())


numbers = st.integers(-5, 200) | st.just(10**400) | st.floats()
values = st.recursive(
    st.none() | st.booleans() | numbers | st.sampled_from(["", "10", "\0"]),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.sampled_from(["id", "size", "counts"]), inner),
    max_leaves=8,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_nothing_makes_it_crash(tmp_path, data):
    if not (tmp_path / "train").exists():
        healthy = DataSet(tmp_path, "train")
        (healthy.folder / "healthy.json").write_text(json.dumps(healthy.content()))
    folder = tmp_path / "train"
    content = json.loads((folder / "healthy.json").read_text())
    for _ in range(data.draw(st.integers(1, 4))):
        target = content
        for _ in range(data.draw(st.integers(0, 3))):
            keys = list(target) if isinstance(target, dict) else range(len(target)) if isinstance(target, list) else ()
            children = [key for key in keys if isinstance(target[key], dict | list) and target[key]]
            target = target[data.draw(st.sampled_from(children))] if children else target
        key = data.draw(st.sampled_from(list(target) if isinstance(target, dict) else range(len(target))))
        target[key] = data.draw(values)
        if not target:
            break
    (folder / "instances.json").write_text(json.dumps(content))
    section = {"format": "coco", "images": str(folder), "annotations": str(folder / "instances.json")}
    for finding in faults(write_config(tmp_path, section, section), max_images=1):
        assert "\n" not in finding.message + finding.advice + str(finding.example)
