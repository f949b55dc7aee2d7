"""A table of the paper as data: which systems it compares, and in what alone they differ."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import pydantic
from pydantic import Field

from fcis_tf.config import Config, Section, load_config, read_yaml
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
# What the network that proposes a row's masks may set besides: its pyramid of images.
_PYRAMID_KEYS = ("data.train_scales", "data.crop_size", "inference.test_scales")
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
    # Of the network that proposes its masks, where that is another one: values by keys, and more of them for one data
    # set.
    mask_proposals: dict[str, object] | None = None
    mask_proposals_for: dict[str, dict[str, object]] = {}
    # Whether the networks of all seeds are used together.
    ensemble: bool = False

    def overrides_on(self, dataset):
        """Returns {key: value}, all that the row sets on a data set."""
        return self.overrides | self.overrides_for.get(dataset, {})

    def mask_proposals_on(self, dataset):
        """Returns {key: value}, all that it sets of the network that proposes masks; None if there is no such one."""
        if self.mask_proposals is None:
            return None
        return self.mask_proposals | self.mask_proposals_for.get(dataset, {})


class RowConfigs(NamedTuple):
    """The configurations of a row's networks.

    Attributes:
        network: Config of that which finds instances, or the classes of masks.
        mask_proposals: Config of that which proposes the masks; None if it is the same.
    """

    network: Config
    mask_proposals: Config | None


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
        where = f"{path}: row '{row.name}'"
        _check_row(f"{where}: overrides", row.overrides, row.overrides_for, compared)
        of_mask_proposals = row.mask_proposals or {}, row.mask_proposals_for
        _check_row(f"{where}: mask_proposals", *of_mask_proposals, (*compared, *_PYRAMID_KEYS))
    return comparison


def _check_row(where, overrides, overrides_for, allowed):
    """Checks that a row's values, for all data sets and for single ones, are those that it may set."""
    for dataset, keys in {None: overrides, **overrides_for}.items():
        if dataset not in (None, *DATASETS):
            raise UserError(f"{where}_for: no data set is called {dataset}")
        for key in keys:
            if not any(_is_within(key, section) for section in allowed):
                raise UserError(f"{where}: {key}: has to be the same for all rows; expected {', '.join(allowed)}")


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
        {name of a row: RowConfigs}, in the table's order.

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
        try:
            configs[row.name] = RowConfigs(
                *(_load(dataset, common, own) for own in (row.overrides_on(dataset), row.mask_proposals_on(dataset)))
            )
        except UserError as error:
            raise UserError(f"{comparison_path(number)}: row '{row.name}': {error}") from None
    return configs


def _load(dataset, common, own):
    """Loads a data set's configuration with common overrides and {key: value} of a row; None if the row has None."""
    if own is None:
        return None
    # JSON is YAML.
    return load_config(base_path(dataset), [*common, *(f"{key}={json.dumps(value)}" for key, value in own.items())])


def _check_common(override, comparison, dataset):
    """Checks that an override of all rows replaces nothing that a row sets."""
    key = override.partition("=")[0]
    if _overlap(key, "training.seed"):
        raise UserError(f"--override {override}: the seeds are those of --seeds")
    for row in comparison.rows:
        for own in (*row.overrides_on(dataset), *(row.mask_proposals_on(dataset) or {})):
            if _overlap(key, own):
                raise UserError(f"--override {override}: row '{row.name}' sets {own}; it cannot be the same for all")


def _overlap(key, other):
    return _is_within(key, other) or _is_within(other, key)


def _is_within(key, section):
    return key == section or key.startswith(f"{section}.")
