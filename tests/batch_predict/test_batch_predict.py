"""Batch prediction as its user sees it: the files it writes, and what it says."""

import json
import os
import sys
from pathlib import Path

import pytest
import tensorflow as tf

pytest.importorskip("apache_beam")


from apache_beam.io.filesystems import FileSystems

from fcis_tf.batch_predict import __main__ as program
from fcis_tf.batch_predict.saved_detector import SavedDetector
from fcis_tf.errors import UserError
from fcis_tf.export import ServingOptions, export_savedmodel
from fcis_tf.inference import Predictor
from fcis_tf.inference.predict_files import predict_files
from tests.batch_predict.coco_results import by_image, check_same_results, lines
from tests.batch_predict.image_folder import BAD, GOOD, fill_folder
from tests.batch_predict.red_model import CATEGORY_IDS, export_red_model
from tests.export.confident_model import confident_model
from tests.export.image_files import encode, picture
from tests.tiny_config import tiny_config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images") / "images"
    fill_folder(folder)
    return folder


@pytest.fixture(scope="module")
def red_model(tmp_path_factory):
    directory = tmp_path_factory.mktemp("red") / "1"
    export_red_model(directory)
    return directory


@pytest.fixture
def run(monkeypatch, red_model, folder):
    """Runs the program in this process, on images that a fast model finds things in."""

    def run(output, *arguments, model=red_model, images=folder / "**"):
        images = f"{images}/*.*" if images == folder / "**" else images
        values = "--model", model, "--input", images, "--output", output, "--shards", 3, *arguments
        monkeypatch.setattr(sys, "argv", ["batch_predict", *map(str, values)])
        return program.main()

    return run


def files(prefix):
    return {path.name: path.read_bytes() for path in prefix.parent.glob(f"{prefix.name}*")}


def test_two_processes_find_what_predict_py_finds_and_tell_the_bad_images(folder, tmp_path, run, capfd):
    trained = confident_model(tiny_config(inference={"score_threshold": 0.3}), 3, picture(64, 96))
    export_savedmodel(trained, ServingOptions(max_pixels=10_000), tmp_path / "1")
    run(tmp_path / "found", "--workers", 2, model=tmp_path / "1")

    predictor = Predictor(trained.model, trained.config)
    found, count = by_image(lines(tmp_path / "found")), 0
    for name in GOOD:
        predict_files(predictor, [folder / name], tmp_path / "out", trained.class_names, trained.category_ids)
        expected = json.loads((tmp_path / "out" / "instances.json").read_text())
        image_id = name if Path(name).stem == "7" else expected[0]["image_id"]
        check_same_results(found.pop(name), [{**r, "image_id": image_id, "file_name": name} for r in expected])
        count += len(expected)
    assert not found and count > 20
    bad = lines(tmp_path / "found", ".bad-*")
    assert sorted(entry["file_name"] for entry in bad) == sorted(BAD)
    output = capfd.readouterr()
    assert f"found-*-of-00003.jsonl: {count} instances in 6 images" in output.out
    assert f"{len(BAD)} bad images" in output.out and "found: 3 of 3 shards done" in output.err


def test_results_have_the_ids_and_names_of_their_images(run, tmp_path):
    run(tmp_path / "a")
    results = lines(tmp_path / "a")
    # Two files have the same number, so neither is the image of this number.
    ids = {name: name for name in GOOD} | {"0012.jpg": 12}
    assert {r["file_name"]: r["image_id"] for r in results} == ids
    assert {r["category_id"] for r in results} == set(CATEGORY_IDS)
    turned = next(r for r in results if r["file_name"] == "0012.jpg")
    assert turned["segmentation"]["size"] == [64, 54]


def test_the_reasons_are_one_line_each(run, tmp_path):
    run(tmp_path / "a")
    reasons = {entry["file_name"]: entry["reason"] for entry in lines(tmp_path / "a", ".bad-*")}
    assert reasons["lost.jpg"] == "not a file"
    assert reasons[r"bad\xff.jpg"] == "a name that is not UTF-8"
    assert reasons["cut.jpg"].startswith("a damaged or incomplete file")
    assert reasons["text.jpg"].startswith("not an image that can be read")
    assert reasons["large.png"].startswith("an image of height 101 and width 100 pixels; expected at most")
    assert all("\n" not in reason for reason in reasons.values())


def test_a_run_that_crashed_goes_on_and_gives_the_same_files(run, tmp_path, monkeypatch):
    run(tmp_path / "whole" / "a")
    find, found = SavedDetector.find, []

    def crash(self, contents):
        found.append(contents)
        if len(found) == crash_at:
            raise RuntimeError("a crash")
        return find(self, contents)

    with monkeypatch.context() as patch:
        crash_at = 9
        patch.setattr(SavedDetector, "find", crash)
        with pytest.raises(RuntimeError, match="a crash"):
            run(tmp_path / "killed" / "a")
        done = len(list((tmp_path / "killed").glob("a-*.jsonl")))
        assert 0 < done < 3
        # As a process leaves them that is killed.
        (tmp_path / "killed" / "a-00002-of-00003.jsonl.0123.partial").write_text("half")
        crash_at, seen = None, set(found[:-1])
        found.clear()
        run(tmp_path / "killed" / "a")
    assert files(tmp_path / "killed" / "a") == files(tmp_path / "whole" / "a")
    assert len(found) < len(seen) + 8


def test_an_interruption_within_a_step_is_one_of_the_program(run, tmp_path, monkeypatch):
    def interrupt(self, contents):
        raise KeyboardInterrupt

    monkeypatch.setattr(SavedDetector, "find", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "a")


def test_what_is_complete_is_not_computed_again(run, tmp_path, monkeypatch, capsys):
    run(tmp_path / "a")
    before = files(tmp_path / "a")
    monkeypatch.setattr(SavedDetector, "__init__", lambda *_: pytest.fail("the model was loaded"))
    run(tmp_path / "a")
    assert files(tmp_path / "a") == before
    assert "3 of 3 shards were there already" in capsys.readouterr().out


@pytest.mark.parametrize("change", [("--shards", 4), ("--min-score", 0.5)])
def test_results_of_other_arguments_do_not_mix(run, tmp_path, change):
    run(tmp_path / "a")
    before = files(tmp_path / "a")
    with pytest.raises(UserError, match=f"describes results that differ in {change[0][2:].replace('-', '_')}; delete"):
        run(tmp_path / "a", *change)
    (tmp_path / "a.job.json").unlink()
    with pytest.raises(UserError, match="already there, but no .*a.job.json says what it is of"):
        run(tmp_path / "a", *change)
    del before["a.job.json"]
    assert files(tmp_path / "a") == before


def test_results_of_other_images_do_not_mix(run, tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.png").write_bytes(encode(picture(), "PNG"))
        if name == "a":
            run(tmp_path / "found", images=tmp_path / "*")
    with pytest.raises(UserError, match=r"differ in files \(1 added, 0 removed, 0 of another size\); delete"):
        run(tmp_path / "found", images=tmp_path / "*")
    (tmp_path / "b.png").rename(tmp_path / "c.png")
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(UserError, match=r"differ in files \(1 added, 0 removed, 1 of another size\); delete"):
        run(tmp_path / "found", images=tmp_path / "*")


def test_a_run_that_completed_no_shard_keeps_nothing_from_another(run, tmp_path):
    with pytest.raises(UserError, match="--runner NoRunner"):
        run(tmp_path / "a", "--runner", "NoRunner")
    (tmp_path / "a.bad-00000-of-00003.jsonl").write_text("half a shard")
    (tmp_path / "a-notes.json").write_text("mine")
    (tmp_path / "text.jpg").write_text("no image")
    assert run(tmp_path / "a", "--shards", 2, images=tmp_path / "*.jpg") == 1
    names = {f"a{kind}-0000{i}-of-00002.jsonl" for kind in ("", ".bad") for i in range(2)}
    assert set(files(tmp_path / "a")) == {"a-notes.json", "a.job.json", *names}
    (bad,) = lines(tmp_path / "a", ".bad-*")
    assert bad["reason"] == "not an image that can be read; expected JPEG, PNG, GIF, BMP or WebP"


def test_other_images_do_not_change_the_shard_of_an_image(run, folder, tmp_path):
    run(tmp_path / "all")
    run(tmp_path / "one", images=folder / "0012.jpg")
    (name,) = (path.name for path in tmp_path.glob("one-*") if path.stat().st_size)
    assert (tmp_path / name).read_text() in (tmp_path / name.replace("one", "all")).read_text()
    assert len(list(tmp_path.glob("one-*"))) == len(list(tmp_path.glob("one.bad-*"))) == 3


def test_leaves_out_low_scores(run, tmp_path):
    run(tmp_path / "a", "--min-score", 0.5)
    assert {result["category_id"] for result in lines(tmp_path / "a")} == {CATEGORY_IDS[1]}


def record(**features):
    values = {f"image/{name}": tf.train.Feature(bytes_list={"value": [value]}) for name, value in features.items()}
    return tf.train.Example(features={"feature": values}).SerializeToString()


def pictured(results):
    """Returns results without what they say of where the image is from."""
    return [{name: r[name] for name in ("category_id", "bbox", "score", "segmentation")} for r in results]


def test_images_in_records_give_what_their_files_give(run, tmp_path):
    image = encode(picture(), "PNG")
    path = tmp_path / "train-00000-of-00002"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(record(encoded=image, source_id=b"12", filename=b"x.png"))
        writer.write(record(source_id=b"13", filename=b"y.png"))
        writer.write(record(encoded=image))
        writer.write(b"\xff\xff")
        writer.write(record(encoded=image, source_id=b"14"))
    (tmp_path / "train-00001-of-00002").write_bytes(path.read_bytes()[:-7])
    (tmp_path / "train-empty-of-00002.tfrecord").write_bytes(b"")
    (tmp_path / "12.png").write_bytes(image)
    run(tmp_path / "file", images=tmp_path / "12.png")
    run(tmp_path / "records", images=tmp_path / "train-*-of-*")

    (expected,) = by_image(lines(tmp_path / "file")).values()
    found = by_image(lines(tmp_path / "records"))
    # Each of the two files has an image x.png.
    assert set(found) == {"14", *(f"train-0000{i}-of-00002[{j}]" for i in range(2) for j in (0, 2))}
    for name, results in found.items():
        assert pictured(results) == pictured(expected)
        assert {result["image_id"] for result in results} == {14 if name == "14" else name}
    bad = {(entry["file_name"], entry["reason"]) for entry in lines(tmp_path / "records", ".bad-*")}
    assert ("train-00000-of-00002[3]", "a record that is no tf.train.Example") in bad
    assert ("train-00001-of-00002", "ends in the middle of record 4") in bad
    assert ("train-empty-of-00002.tfrecord", "an empty file") in bad
    places = {f"train-0000{i}-of-00002[{j}]" for i in range(2) for j in (1, 3)}
    assert {name for name, _ in bad} == {"train-00001-of-00002", "train-empty-of-00002.tfrecord", *places}


@pytest.mark.parametrize(
    ("options", "arguments", "message"),
    [
        (
            (),
            {"model": "/nowhere/1"},
            "--model /nowhere/1: expected a SavedModel of export_savedmodel.py.* there is none",
        ),
        ((), {"images": "/nowhere/*.jpg"}, r"--input /nowhere/\*.jpg: no file has such a name"),
        ((), {"images": "/usr/"}, r"--input /usr/: is a folder; /usr/\* names the files in it"),
        ((), {"output": "/proc/a"}, "/proc/a.job.json: cannot write this file: "),
        ((), {"output": "results/"}, "--output results/: expected what file names begin with"),
        (("--workers", 4), {}, "--workers 4 --shards 3: expected as many shards as workers at least"),
        (("--min-score", 2), {}, "--min-score 2: expected a score in 0..1"),
        (("--wrokers", 2), {}, "--wrokers: neither an argument of this program nor one of Beam's"),
        (("--runner", "NoRunner"), {}, "--runner NoRunner: Unexpected pipeline runner"),
    ],
)
def test_mistakes_are_one_line(run, tmp_path, options, arguments, message):
    with pytest.raises(UserError, match=message) as error:
        run(arguments.pop("output", tmp_path / "a"), *options, **arguments)
    assert "\n" not in str(error.value)


def test_a_model_without_the_signature_is_refused(run, tmp_path, red_model):
    for name in ("saved_model.pb", "fingerprint.pb", "assets"):
        (tmp_path / "1").mkdir(exist_ok=True)
        os.symlink(red_model / name, tmp_path / "1" / name)
    (tmp_path / "1" / "saved_model.pb").unlink()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"half")
    with pytest.raises(UserError, match="it is damaged"):
        run(tmp_path / "a", model=tmp_path / "1")


@pytest.mark.parametrize("name", ["a.job.json", "a-00001-of-00003.jsonl"])
def test_a_full_disk_is_one_line(run, tmp_path, monkeypatch, name):
    rename = FileSystems.rename

    def fail(sources, destinations):
        if destinations == [str(tmp_path / name)]:
            raise OSError(28, "No space left on device")
        rename(sources, destinations)

    monkeypatch.setattr(FileSystems, "rename", fail)
    with pytest.raises(UserError, match=f"^{tmp_path / name}: cannot write this file: No space left on device$"):
        run(tmp_path / "a")


def test_says_how_to_install_beam(monkeypatch, run, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'fcis_tf\[beam\]'"):
        run(tmp_path / "a")
