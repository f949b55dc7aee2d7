"""The tables of the paper from the command line: tiny networks once, and results that are made up."""

import json
import math
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image

from fcis_tf.ablation import layer_factors, trial
from fcis_tf.ablation.comparison import DATASETS, TABLES, read_comparison, row_configs
from fcis_tf.ablation.plot import save_plot
from fcis_tf.ablation.summary import Summary
from fcis_tf.evaluation import CocoMetrics
from fcis_tf.inference import Instances
from tests.tiny_config import tiny_values

ROWS = [
    {"name": "FCIS (translation invariant)", "paper": {"mAP50": 52.5}, "overrides": {"model.group_size": 1}},
    {"name": "FCIS", "paper": {"mAP50": 65.7}},
]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with tiny configurations and a table 1 of two rows."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, 1, ROWS)
    values = tiny_values(model={"batch_norm": "trained"}, training={"log_every": 1})
    (tmp_path / "configs/digits.yaml").write_text(yaml.safe_dump(values))
    return tmp_path


def write(folder, table, rows):
    path = folder / f"configs/ablations/table{table}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"title": "A table", "paper": "VOC", "rows": rows}))


@pytest.fixture
def run(monkeypatch):
    """Runs the program and returns its exit status."""

    def run_program(*arguments, table=1):
        monkeypatch.setattr(
            sys, "argv", ["ablation", "--table", str(table), "--dataset", "digits", "--output", "out", *arguments]
        )
        with pytest.raises(SystemExit) as exit_:
            runpy.run_module("fcis_tf.ablation", run_name="__main__")
        return exit_.value.code or 0

    return run_program


@pytest.fixture
def made_up(monkeypatch):
    """Training and evaluation that take no time; `calls` has what was done, `accuracies` what comes out next."""
    layers = {1: ["reduce"], 3: ["reduce", "maps"]}
    made_up = SimpleNamespace(calls=[], images=[], accuracies={}, layers=layers, multipliers=[])

    def train(config, model_dir, progress):
        made_up.calls.append(("train", config.training.seed, config.model.group_size))
        made_up.multipliers.append(config.training.learning_rate.multipliers)
        if ("stop", config.training.seed) in made_up.accuracies:
            raise KeyboardInterrupt
        model_dir.mkdir(parents=True, exist_ok=True)
        (model_dir / "seed").write_text(str(config.training.seed))

    def load_ensemble(model_dirs, config, mask_proposals):
        seeds = tuple(int((model_dir / "seed").read_text()) for model_dir in model_dirs)
        made_up.calls.append(("evaluate", *seeds))
        return [SimpleNamespace(model=(seed, config.model.group_size), step=4) for seed in seeds]

    def load_mask_proposals(model_dir, config):
        made_up.calls.append(("masks", int((model_dir / "seed").read_text()), config.model.window))

    def evaluate(predictor, source, config, progress, always_voc):
        assert always_voc
        for _ in range(3):
            predictor.predict(None)
        key = predictor._predictor.networks[-1]
        half, more = made_up.accuracies.get(key, (0.5, 0.25))
        return CocoMetrics({"segm": {"AP": half}, "bbox": {}}, {}, {"mAP50": half, "mAP70": more})

    class Predictor:
        def __init__(self, networks, config, freeze, mask_proposals):
            self.networks = networks

        def predict(self, image):
            made_up.images.append(image)
            return Instances(np.zeros([0, 4]), np.zeros(0, int), np.zeros(0), np.zeros([0, 64, 96], bool))

    def build_model(config, num_classes):
        layers = made_up.layers[config.model.group_size]
        variables = [SimpleNamespace(path=f"fcis/head/{layer}/kernel") for layer in layers]
        return SimpleNamespace(trainable_variables=variables)

    monkeypatch.setattr(layer_factors, "build_model", build_model)
    monkeypatch.setattr(trial, "train", train)
    monkeypatch.setattr(trial, "load_ensemble", load_ensemble)
    monkeypatch.setattr(trial, "load_mask_proposals", load_mask_proposals)
    monkeypatch.setattr(trial, "evaluate", evaluate)
    monkeypatch.setattr(trial, "Predictor", Predictor)
    monkeypatch.setattr(trial, "median_step_time", lambda config, model_dir: 0.5)
    monkeypatch.setattr("fcis_tf.ablation.plot.save_plot", lambda *arguments: None)
    return made_up


def table(path="out/table1.md"):
    """Reads a Markdown table: {first cell: {heading: cell}}."""
    lines = [line.strip("| ").split(" | ") for line in Path(path).read_text().splitlines() if line.startswith("|")]
    header = ["", *lines[0]] if lines[0][0] else lines[0]
    return {cells[0]: dict(zip(header[1:], cells[1:], strict=False)) for cells in lines[2:]}


def test_trains_and_evaluates_once(folder, run):
    """The whole chain with a network itself; the second run has no more to do."""
    assert run("--seeds", "3", "--rows", "FCIS") == 0
    rows = table()
    assert list(rows) == [row["name"] for row in ROWS]
    assert rows["FCIS (translation invariant)"]["seeds"] == "0 of 1"
    fcis = rows["FCIS"]
    assert 0 <= float(fcis["mAP^r 0.5"]) <= 100 and 0 <= float(fcis["mAP^r 0.7"]) <= 100
    assert float(fcis["s / image"]) > 0 and float(fcis["s / step"]) > 0
    assert np.asarray(Image.open("out/table1.png").convert("L")).std() > 10
    # The two scenes of the evaluation set, beside each other and with the row's name.
    drawing, page = Image.open("out/table1/fcis/seed3.png"), Image.open("out/table1_examples.png")
    assert drawing.size == (2 * 330, 220) and page.width >= 2 * 330 and page.height > 220
    result = json.loads(Path("out/table1/fcis/seed3.json").read_text())
    assert result["step"] == 4 and result["images"] == 2
    config = yaml.safe_load((Path("out") / result["networks"][0] / "config.yaml").read_text())
    assert config["training"]["seed"] == 3 and config["model"]["group_size"] == 3

    written = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*") if not path.match("table1*.*")}
    assert run("--seeds", "3", "--rows", "FCIS") == 0
    assert written == {path: path.stat().st_mtime_ns for path in written} and rows == table()


def test_a_finished_network_is_evaluated_again_for_other_inference(folder, run, made_up):
    assert run("--seeds", "0", "--rows", "FCIS") == 0
    made_up.accuracies = {(0, 3): (0.75, 0.5)}
    assert run("--seeds", "0", "--rows", "FCIS", "--override", "inference.max_detections=3") == 0
    # The same directory: train finds that there is nothing left to do.
    assert len(list(Path("out/networks").iterdir())) == 1
    assert table()["FCIS"]["mAP^r 0.5"] == "75.0"


def test_mean_and_spread_over_seeds(folder, run, made_up):
    made_up.accuracies = {(0, 3): (0.50, 0.1), (1, 3): (0.53, 0.1), (5, 3): (0.56, 0.4), (0, 1): (0.25, -1)}
    assert run("--seeds", "0,1,5") == 0
    fcis, invariant = table()["FCIS"], table()["FCIS (translation invariant)"]
    # Mean 53, squared deviations 9 + 0 + 9 over 2; mean 20, (100 + 100 + 400) / 2.
    assert fcis["mAP^r 0.5"] == "53.0 ± 3.0" and fcis["mAP^r 0.7"] == f"20.0 ± {math.sqrt(300):.1f}"
    # (25, 50, 50); of (-1, 25, 25) the first had nothing to find.
    assert invariant["mAP^r 0.5"] == f"41.7 ± {25 / math.sqrt(3):.1f}" and invariant["mAP^r 0.7"] == "25.0 ± 0.0"
    assert fcis["s / step"] == "0.500 ± 0.000" and fcis["seeds"] == "3"
    assert fcis["paper: mAP^r 0.5"] == "65.7" and invariant["paper: mAP^r 0.5"] == "52.5"


def test_a_missing_picture_is_drawn_without_another_evaluation(folder, run, made_up):
    assert run("--seeds", "0", "--rows", "FCIS") == 0
    Path("out/table1/fcis/seed0.png").unlink()
    made_up.calls.clear()
    made_up.images.clear()
    assert run("--seeds", "0", "--rows", "FCIS") == 0
    # Nothing but the two scenes to draw.
    assert len(made_up.images) == 2 and Path("out/table1/fcis/seed0.png").exists()


def test_one_seed_has_no_spread():
    assert Summary((4.0,)).mean == 4 and math.isnan(Summary((4.0,)).spread) and math.isnan(Summary(()).mean)


def test_goes_on_where_it_was_interrupted(folder, run, made_up, capsys):
    made_up.accuracies = {("stop", 1): True}
    assert run("--seeds", "0,1") == 130
    assert made_up.calls == [("train", 0, 1), ("evaluate", 0), ("train", 1, 1)]
    assert table()["FCIS (translation invariant)"]["seeds"] == "1 of 2" and table()["FCIS"]["mAP^r 0.5"] == "-"
    made_up.calls.clear()
    made_up.accuracies = {}
    assert run("--seeds", "0,1") == 0
    first, *rest = made_up.calls
    assert first == ("train", 1, 1) and [call[:2] for call in rest if call[0] == "train"] == [
        ("train", 0),
        ("train", 1),
    ]
    assert table()["FCIS (translation invariant)"]["seeds"] == "2"


def test_learning_rate_factors_of_layers_that_not_all_rows_have_are_left_out_for_all(folder, run, made_up):
    factors = "training.learning_rate.multipliers={head/reduce: 3, head/maps: 4, conv1: 2}"
    assert run("--seeds", "0", "--override", factors) == 0
    # Those of layers outside of the head are left to train, which says if they are wrong.
    assert made_up.multipliers == [{"head/reduce": 3, "conv1": 2}] * 2


def test_a_learning_rate_factor_of_no_layer_is_one_line(folder, run, made_up, capsys):
    assert run("--seeds", "0", "--override", "training.learning_rate.multipliers={head/map_: 4}") == 2
    message = "training.learning_rate.multipliers: no row of the table has a layer 'head/map_'"
    assert message in capsys.readouterr().err and not made_up.calls


DAMAGES = {
    "cut off": lambda text: text[:1],
    "a list": lambda text: "[1]",
    "of nothing": lambda text: '{"asked": 3}',
    "no metrics": lambda text: text.replace('"metrics"', '"metric"'),
    "no number": lambda text: text.replace('"mAP50": 0.5', '"mAP50": null'),
    "a text": lambda text: text.replace('"seconds_per_step": 0.5', '"seconds_per_step": "0.5"'),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_result_is_made_again(folder, run, made_up, damage):
    assert run("--seeds", "0") == 0
    path = Path("out/table1/fcis/seed0.json")
    whole = path.read_text()
    path.write_text(damage(whole))
    assert path.read_text() != whole
    made_up.calls.clear()
    assert run("--seeds", "0") == 0
    assert made_up.calls == [("train", 0, 3), ("evaluate", 0)]
    assert json.loads(path.read_text())["asked"] == json.loads(whole)["asked"]


def test_another_configuration_has_another_network(folder, run, made_up):
    assert run("--seeds", "0", "--rows", "FCIS") == 0
    assert run("--seeds", "0", "--rows", "FCIS", "--override", "training.weight_decay=0.25") == 0
    assert [call[0] for call in made_up.calls] == ["train", "evaluate"] * 2
    assert len(list(Path("out/networks").iterdir())) == 2


def test_rows_that_train_alike_share_networks_and_an_ensemble_takes_all(folder, run, made_up):
    flip = {"inference.horizontal_flip": True}
    rows = [
        {"name": "baseline"},
        {"name": "+ flip", "overrides": flip, "overrides_for": {"voc": {"data.crop_size": 3}}},
        {"name": "+ ensemble", "overrides": flip, "ensemble": True},
    ]
    write(folder, 4, rows)
    assert run("--seeds", "0,2", table=4) == 0
    assert [call[1:] for call in made_up.calls if call[0] == "evaluate"] == [(0,), (2,), (0,), (2,), (0, 2)]
    assert sorted(path.name[-6:] for path in Path("out/networks").iterdir()) == ["-seed0", "-seed2"]
    together = table("out/table4.md")["+ ensemble"]
    assert together["seeds"] == "2 together" and together["mAP^r 0.5"] == "50.0" and together["s / step"] == "-"


def test_a_row_of_two_networks(folder, run, made_up):
    scales = {"digits": {"data.train_scales": [40, 64]}}
    proposals = {"model.head": "instance_fcn", "model.window": 99}
    row = {"name": "a", "overrides": {"model.head": "rfcn"}}
    write(folder, 1, [{**row, "mask_proposals": proposals, "mask_proposals_for": scales}])
    assert run("--seeds", "4") == 0
    assert made_up.calls == [("train", 4, 3), ("train", 4, 3), ("evaluate", 4), ("masks", 4, 99)]
    result = json.loads(Path("out/table1/a/seed4.json").read_text())
    assert len(set(result["networks"])) == 2 and result["seconds_per_step"] == 1.0
    made_up.calls.clear()
    assert run("--seeds", "4") == 0 and not made_up.calls
    # Another pyramid is another network, but the R-FCN stays.
    write(folder, 1, [{**row, "mask_proposals": proposals}])
    assert run("--seeds", "4") == 0
    assert len(list(Path("out/networks").iterdir())) == 3


BAD_TABLES = {
    "data": ([{"name": "a", "overrides": {"data.short_side": 100}}], "row 'a': overrides: data.short_side"),
    "training": ([{"name": "a", "overrides": {"training.steps": 100}}], "row 'a': overrides: training.steps"),
    "for one data set": (
        [{"name": "a", "overrides_for": {"coco": {"training.steps": 1}}}],
        "row 'a': overrides: training.steps",
    ),
    "other data set": ([{"name": "a", "overrides_for": {"cocoa": {}}}], "row 'a': overrides_for: no data set"),
    "masks": ([{"name": "a", "mask_proposals": {"training.steps": 9}}], "row 'a': mask_proposals: training.steps"),
    "unknown key": (
        [{"name": "a", "overrides": {"model.group_sise": 1}}],
        "row 'a': configs/digits.yaml: model.group_si",
    ),
    "bad value": ([{"name": "a", "overrides": {"model.group_size": 2}}], "row 'a': configs/digits.yaml: model: pooled"),
    "same name": ([{"name": "a"}, {"name": "A"}], "rows: "),
    "no name": ([{}], "rows.0.name"),
    "no rows": ([], "rows"),
}


@pytest.mark.parametrize("rows, message", BAD_TABLES.values(), ids=BAD_TABLES)
def test_a_bad_table_is_one_line(folder, run, made_up, capsys, rows, message):
    write(folder, 1, rows)
    assert run() == 2
    error = capsys.readouterr().err
    assert f"table1.yaml: {message}" in error and error.count("\n") == 1
    assert not made_up.calls and not Path("out").exists()


BAD_ARGUMENTS = {
    "unknown row": (
        ("--rows", "FCOS"),
        "--rows: expected names of 'FCIS (translation invariant)', 'FCIS', found 'FCOS'",
    ),
    "not a seed": (("--seeds", "0,x"), "argument --seeds: expected whole numbers such as 0,1,2, found 0,x"),
    "seeds twice": (("--seeds", "1,01"), "argument --seeds: expected seeds that differ"),
    "seed": (("--override", "training.seed=3"), "--override training.seed=3: the seeds are those of --seeds"),
    "of a row": (("--override", "model.group_size=9"), "row 'FCIS (translation invariant)' sets model.group_size"),
    "section of a row": (("--override", "model={}"), "--override model={}: row"),
    "unknown key": (("--override", "training.step=3"), "training.step: unknown key"),
}


@pytest.mark.parametrize("arguments, message", BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS)
def test_a_bad_argument_is_one_line(folder, run, made_up, capsys, arguments, message):
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not made_up.calls


def test_an_ensemble_needs_several_seeds(folder, run, made_up, capsys):
    write(folder, 4, [{"name": "a"}, {"name": "b", "ensemble": True}])
    assert run("--seeds", "0", table=4) == 2
    assert "row 'b' takes the networks of two seeds or more" in capsys.readouterr().err
    assert run("--seeds", "0", "--rows", "a", table=4) == 0


def test_an_output_that_is_a_file_is_one_line(folder, run, made_up, capsys):
    (folder / "out").write_text("")
    assert run("--seeds", "0") == 2
    assert "--output: cannot make the directory" in capsys.readouterr().err.splitlines()[-1]
    assert not made_up.calls


def test_the_plot_of_an_unfinished_table_has_all_rows(folder, tmp_path):
    """The one row that is done takes as much room as it does later."""
    rows = [{"name": name} for name in "abcd"]
    write(folder, 1, rows)
    figures = {"metrics": {"voc": {"mAP50": 0.5, "mAP70": 0.25}}, "seconds_per_image": 1.0, "seconds_per_step": 1.0}
    coloured = []
    for done in ("a", "abcd"):
        save_plot(read_comparison(1), {name: [figures] for name in done}, "digits", tmp_path / "plot.png")
        pixels = np.asarray(Image.open(tmp_path / "plot.png").convert("HSV"))
        coloured.append((pixels[..., 1] > 100).sum())
    assert 0.2 < coloured[0] / coloured[1] < 0.4


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("number", TABLES)
def test_the_papers_tables_fit_every_data_set(number, dataset, monkeypatch):
    monkeypatch.chdir(ROOT)
    comparison = read_comparison(number)
    configs = row_configs(number, comparison, dataset)
    # No two rows of a table are the same, an ensemble aside.
    different = [configs[row.name].network.model_dump_json() for row in comparison.rows if not row.ensemble]
    assert len(set(different)) == len(different) > 2
