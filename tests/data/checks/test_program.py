"""`python -m fcis_tf.data.check` from the command line."""

import pytest

from fcis_tf.data.check import main
from fcis_tf.errors import UserError
from tests.data.checks.data_sets import DataSet, write_config


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """A function that checks two data sets and returns the exit status and what is printed."""

    def check(train, evaluation):
        path = write_config(tmp_path, train.write(), evaluation.write())
        monkeypatch.setattr("sys.argv", ["check", "--config", str(path), "--images", "1"])
        return main(), capsys.readouterr().out

    return check


def test_healthy_data(tmp_path, run):
    status, printed = run(DataSet(tmp_path, "train"), DataSet(tmp_path, "eval"))
    assert status == 0 and "no problems found" in printed
    assert "data.train: 3 images, 6 annotations, 2 classes" in printed


def test_errors_come_before_warnings_and_equal_findings_once(tmp_path, run):
    train, evaluation = DataSet(tmp_path, "train"), DataSet(tmp_path, "eval")
    for data_set in (train, evaluation):
        data_set.annotations.append(data_set.annotations[0])
        data_set.categories[0]["id"] = 4
    status, printed = run(train, evaluation)
    levels = [line.split(":")[0] for line in printed.splitlines() if line.startswith(("error", "warning"))]
    assert status == 1 and "error" in levels and "warning" in levels and levels == sorted(levels)
    assert printed.count("classes have no instance") == 1 and "warning: data.train and data.eval" in printed


def test_a_wrong_configuration(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["check", "--config", str(tmp_path / "nowhere.yaml")])
    with pytest.raises(UserError, match=r"nowhere\.yaml"):
        main()
