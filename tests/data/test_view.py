"""The page of what the network sees, and the tables of what a data set holds."""

import numpy as np
import pytest
from PIL import Image

from fcis_tf.config import load_config
from fcis_tf.data import load_dataset
from fcis_tf.data.statistics import statistics_tables
from fcis_tf.data.view import draw_page, main
from fcis_tf.errors import UserError
from fcis_tf.visualization import draw_training_example, lay_out_page
from tests.data.checks.data_sets import HEIGHT, WIDTH, DataSet, write_config


@pytest.fixture
def data_set(tmp_path):
    return DataSet(tmp_path, "train")


def config_of(tmp_path, data_set):
    section = data_set.write()
    return write_config(tmp_path, section, section)


def rows(tables, name):
    """Returns the words of the lines that begin with a name."""
    return [line.removeprefix(name).split() for line in tables.splitlines() if line.startswith(name)]


def test_tables_count_what_is_there(tmp_path, data_set):
    data_set.annotations[1]["iscrowd"] = 1
    data_set.annotations = [a for a in data_set.annotations if a["image_id"] != 20]
    config = load_config(config_of(tmp_path, data_set), ["model.anchor_scales=[0.5]"])
    tables = statistics_tables(load_dataset(config.data, "train").ground_truth(), config, "train")
    assert rows(tables, "images ") == [["3"]] and rows(tables, "  without an instance") == [["1"]]
    assert rows(tables, "instances  ")[0] == ["3"] and rows(tables, "crowd regions") == [["1"]]
    assert rows(tables, "cup") == [["2", "66.7", "%", "2", "0"]] and rows(tables, "pot") == [
        ["1", "33.3", "%", "1", "1"]
    ]
    assert rows(tables, "as stored") == [["0", "(0.0", "%)", "3", "(100.0", "%)", "0", "(0.0", "%)"]]
    assert rows(tables, "no anchor of an IoU of 0.5")[0][:2] == ["3", "(100.0"]


def test_areas_grow_with_the_image(tmp_path, data_set):
    config = load_config(
        config_of(tmp_path, data_set), [f"data.short_side={4 * HEIGHT}", f"data.long_side={4 * WIDTH}"]
    )
    tables = statistics_tables(load_dataset(config.data, "train").ground_truth(), config, "train")
    names = ("sqrt(area), as stored", "sqrt(area), as the network sees it")
    stored, seen = (np.array(rows(tables, name)[0], float) for name in names)
    np.testing.assert_allclose(seen, 4 * stored, atol=2.5)


def test_a_data_set_without_instances_has_tables_too(tmp_path, data_set):
    for annotation in data_set.annotations:
        annotation["iscrowd"] = 1
    config = load_config(config_of(tmp_path, data_set))
    tables = statistics_tables(load_dataset(config.data, "train").ground_truth(), config, "train")
    assert rows(tables, "crowd regions") == [["6"]] and rows(tables, "no anchor of an IoU of 0.5")[0][0] == "-"


def test_sizes_are_those_of_all_training_scales(tmp_path, data_set):
    scales = [f"data.train_scales=[{HEIGHT // 2}, {HEIGHT}, {2 * HEIGHT}]"]
    config = load_config(config_of(tmp_path, data_set), scales)
    ground_truth = load_dataset(config.data, "train").ground_truth()
    seen = [rows(statistics_tables(ground_truth, config, s), "as the network sees it")[0] for s in ("train", "eval")]
    assert [sum(map(int, row[::3])) for row in seen] == [18, 6]


def test_images_that_cannot_be_read_are_left_out(tmp_path, data_set):
    config = load_config(config_of(tmp_path, data_set))
    source = load_dataset(config.data, "train")
    (data_set.folder / "train2.png").write_bytes(b"no image")
    page, unreadable = draw_page(source, config, "train", 12, seed=0)
    # Pictures are of 560 x 420 pixels.
    assert unreadable == 1 and 2 * 560 < page.shape[1] < 3 * 560
    for name in ("train1.png", "train3.png"):
        (data_set.folder / name).write_bytes(b"no image")
    with pytest.raises(UserError, match=r"train\d.png: not an image.*fcis_tf.data.check"):
        draw_page(source, config, "train", 12, seed=0)


def test_an_example_is_drawn_where_it_is():
    image = np.zeros((60, 80, 3), np.uint8)
    boxes, anchors = np.float32([[20, 30, 50, 70]]), np.float32([[2, 2, 12, 12]])
    masks = np.ones((1, 8, 8), np.uint8)
    drawn = draw_training_example(image, boxes, np.array([1]), np.array([False]), masks, anchors, ["cup"])
    assert drawn[20:50, 30:70].any(axis=2).all() and not drawn[52:, :].any() and not drawn[:, 72:].any()
    assert drawn[2, 2:12].min() > 50 and not drawn[4:10, 4:10].any()


def test_pictures_are_laid_out_in_rows():
    pictures = [np.full((20, width, 3), 7, np.uint8) for width in (100, 100, 100, 300)]
    page = lay_out_page(pictures, ["a"] * 4, width=220)
    starts = np.flatnonzero(np.diff((page == 7).all(axis=2).any(axis=1).astype(int)) == 1)
    assert len(starts) == 3 and (page == 7).all(axis=2).sum() == 20 * 600


def test_captions_do_not_run_into_each_other():
    pictures = [np.zeros((20, 10, 3), np.uint8)] * 2
    alone = lay_out_page(pictures[:1], ["a long caption"])
    assert lay_out_page(pictures, ["a long caption"] * 2).shape[1] > 1.5 * alone.shape[1]
    cut = lay_out_page(pictures[:1], ["a very long caption " * 20])
    assert cut.shape[1] < 400


def test_statistics_are_printed_where_nothing_can_be_drawn(tmp_path, data_set, monkeypatch, capsys):
    data_set.annotations.clear()
    path = config_of(tmp_path, data_set)
    monkeypatch.setattr("sys.argv", ["view", "--config", str(path), "--out", str(tmp_path / "page.png")])
    with pytest.raises(UserError, match="no image has an instance"):
        main()
    assert "without an instance" in capsys.readouterr().out


def test_the_program_draws_and_counts(tmp_path, data_set, monkeypatch, capsys):
    path = config_of(tmp_path, data_set)
    arguments = ["view", "--config", str(path), "--out", str(tmp_path / "page.png"), "--split", "eval", "--images", "1"]
    monkeypatch.setattr("sys.argv", arguments)
    main()
    assert Image.open(tmp_path / "page.png").size[0] > 400
    printed = capsys.readouterr().out
    assert "data.eval of" in printed and "pot" in printed


@pytest.mark.parametrize("out", ["page.gif", "nowhere/page.png"])
def test_the_page_needs_a_place(tmp_path, data_set, monkeypatch, out):
    monkeypatch.setattr(
        "sys.argv", ["view", "--config", str(config_of(tmp_path, data_set)), "--out", str(tmp_path / out)]
    )
    with pytest.raises(UserError, match="--out"):
        main()
