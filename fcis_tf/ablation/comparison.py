"""A table of the paper as data: which systems it compares, and in what alone they differ."""

import json
import re
from pathlib import Path

import pydantic
from pydantic import Field

from fcis_tf.config import Section, load_config, read_yaml
from fcis_tf.errors import UserError

CONFIGS = Path("configs")
DATASETS = ("digits", "digits_touching", "voc", "coco")
# What the rows of each table may set. All else, data and schedule above all, is the same for all rows.
_COMPARED_KEYS = {
    1: ("model",),
    2: ("model", "training.roi_targets.selection"),
    3: ("model.backbone",),
    4: ("inference", "data.train_scales", "data.crop_size"),
}
TABLES = tuple(_COMPARED_KEYS)


class PaperFigures(Section):
    """What the paper prints of a row, accuracies in percent; whatever is missing it does not have."""

    mAP50: float | None = None
    mAP70: float | None = None
    AP: float | None = None
    AP50: float | None = None
    seconds_per_image: float | None = None


class Row(Section):
    """A system of a table."""

    # As the paper's table prints it.
    name: str = Field(min_length=1)
    paper: PaperFigures = PaperFigures()
    # Values of the configuration, by keys such as model.group_size.
    overrides: dict[str, object] = {}
    # More of them, for one data set.
    overrides_for: dict[str, dict[str, object]] = {}
    # Whether the networks of all seeds are used together.
    ensemble: bool = False

    def overrides_on(self, dataset):
        """Returns {key: value}, all that the row sets on a data set."""
        return self.overrides | self.overrides_for.get(dataset, {})


class Comparison(Section):
    """A table."""

    title: str
    # Where the paper's figures are from.
    paper: str
    rows: tuple[Row, ...] = Field(min_length=1)

    @pydantic.field_validator("rows")
    @classmethod
    def _names_differ(cls, rows):
        if len({file_name(row.name) for row in rows}) < len(rows):
            raise ValueError("expected names that differ in their letters and digits")
        return rows


def file_name(name):
    """Returns a row's name as it stands in names of files: letters, digits, + and hyphens."""
    return re.sub(r"[^a-z0-9+]+", "-", name.lower()).strip("-")


def read_comparison(number):
    """Reads and checks a table.

    Args:
        number: 1 to 4.

    Returns:
        A Comparison.

    Raises:
        UserError: the file cannot be read, or a key or value is wrong; or a row sets what all rows have in common.
    """
    path = comparison_path(number)
    try:
        comparison = Comparison.model_validate(read_yaml(path))
    except pydantic.ValidationError as error:
        problems = (f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise UserError(f"{path}: " + "; ".join(problems)) from None
    compared = _COMPARED_KEYS[number]
    for row in comparison.rows:
        for dataset, keys in {None: row.overrides, **row.overrides_for}.items():
            if dataset not in (None, *DATASETS):
                raise UserError(f"{path}: row '{row.name}': overrides_for: no data set is called {dataset}")
            for key in keys:
                if not any(_is_within(key, section) for section in compared):
                    raise UserError(
                        f"{path}: row '{row.name}': {key}: has to be the same for all rows; those of table {number} "
                        f"may set {', '.join(compared)}"
                    )
    return comparison


def comparison_path(number):
    """Returns the path of a table's file."""
    return CONFIGS / "ablations" / f"table{number}.yaml"


def base_path(dataset):
    """Returns the path of the configuration that all rows share."""
    return CONFIGS / f"{dataset}.yaml"


def row_configs(number, comparison, dataset, overrides=()):
    """Makes the configurations of a table's rows, all with the base configuration's seed.

    Args:
        number: 1 to 4.
        comparison: the Comparison.
        dataset: of DATASETS.
        overrides: of all rows, as `load_config` takes them; none of what a row sets, and not of the seed.

    Returns:
        {name of a row: Config}, in the table's order.

    Raises:
        UserError: a file, key or value is wrong.
    """
    # No evaluation in the course of training: it is part of no row, and would be repeated at the end.
    common = ["training.evaluate_every=null", *overrides]
    for override in overrides:
        _check_common(override, comparison, dataset)
    load_config(base_path(dataset), common)
    configs = {}
    for row in comparison.rows:
        # JSON is YAML.
        own = [f"{key}={json.dumps(value)}" for key, value in row.overrides_on(dataset).items()]
        try:
            configs[row.name] = load_config(base_path(dataset), [*common, *own])
        except UserError as error:
            raise UserError(f"{comparison_path(number)}: row '{row.name}': {error}") from None
    return configs


def _check_common(override, comparison, dataset):
    """Checks that an override of all rows replaces nothing that a row sets."""
    key = override.partition("=")[0]
    if _overlap(key, "training.seed"):
        raise UserError(f"--override {override}: the seeds are those of --seeds")
    for row in comparison.rows:
        for own in row.overrides_on(dataset):
            if _overlap(key, own):
                raise UserError(f"--override {override}: row '{row.name}' sets {own}; it cannot be the same for all")


def _overlap(key, other):
    return _is_within(key, other) or _is_within(other, key)


def _is_within(key, section):
    return key == section or key.startswith(f"{section}.")
