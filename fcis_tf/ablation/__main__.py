"""The paper's comparisons: `python -m fcis_tf.ablation --table 1 --dataset digits`."""

import argparse
import logging
from pathlib import Path

from fcis_tf.ablation.comparison import DATASETS, TABLES, base_path, file_name, read_comparison, row_configs
from fcis_tf.ablation.examples import save_examples
from fcis_tf.ablation.layer_factors import with_common_factors
from fcis_tf.ablation.markdown import markdown_table
from fcis_tf.ablation.plot import save_plot
from fcis_tf.ablation.trial import Trial
from fcis_tf.command_line import add_override_argument, run_program
from fcis_tf.errors import UserError
from fcis_tf.whole_file import write_text

_logger = logging.getLogger(__name__)


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="python -m fcis_tf.ablation",
        description="Trains and evaluates the systems that a table of the paper compares, each with every seed, and "
        "writes the table as Markdown and as a plot.",
        epilog="It can be interrupted at any time, and the same command continues it. What there is in OUTPUT already, "
        "networks and results, is not made again; tables with the same OUTPUT share their networks.",
    )
    parser.add_argument("--table", required=True, type=int, choices=TABLES, help="which of the paper's tables")
    parser.add_argument(
        "--dataset", required=True, choices=DATASETS, help="the rows' common configuration, configs/DATASET.yaml"
    )
    parser.add_argument("--seeds", type=_seeds, default=(0, 1, 2), metavar="N,N,...", help="seeds of training [0,1,2]")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="directory for networks, results and tables [runs/ablation/DATASET]"
    )
    parser.add_argument(
        "--rows", nargs="+", metavar="NAME", help="train and evaluate only these rows; results of others are shown"
    )
    add_override_argument(parser)
    return parser.parse_args()


def _seeds(text):
    seeds = text.split(",")
    if not all(seed.isascii() and seed.isdecimal() and int(seed) < 2**31 for seed in seeds):
        raise argparse.ArgumentTypeError(f"expected whole numbers such as 0,1,2, found {text}")
    if len(set(map(int, seeds))) < len(seeds):
        raise argparse.ArgumentTypeError(f"expected seeds that differ, found {text}")
    return tuple(map(int, seeds))


def main():
    arguments = parse_arguments()
    # It reports every file of curves that it has read.
    logging.getLogger("tensorboard").setLevel(logging.WARNING)
    comparison = read_comparison(arguments.table)
    configs = with_common_factors(row_configs(arguments.table, comparison, arguments.dataset, arguments.override))
    output = arguments.output or Path("runs") / "ablation" / arguments.dataset
    trials = {row.name: _trials(row, configs[row.name], arguments, output) for row in comparison.rows}
    wanted = _wanted_rows(comparison, arguments.rows)
    for row in comparison.rows:
        if row.ensemble and row.name in wanted and len(arguments.seeds) < 2:
            raise UserError(f"--seeds: row '{row.name}' takes the networks of two seeds or more together")
    _make_directories([output / "networks", *(trial.path.parent for name in wanted for trial in trials[name])])

    for name in wanted:
        for trial in trials[name]:
            if trial.is_done():
                continue
            _logger.info("\nrow '%s', seeds: %s", name, ", ".join(map(str, trial.seeds)))
            trial.run()
            _write(comparison, trials, arguments, output)
    print(f"\n{_write(comparison, trials, arguments, output)}")


def _wanted_rows(comparison, names):
    known = [row.name for row in comparison.rows]
    for name in names or ():
        if name not in known:
            raise UserError(f"--rows: expected names of {', '.join(map(repr, known))}, found '{name}'")
    return [name for name in known if names is None or name in names]


def _trials(row, configs, arguments, output):
    """Returns the Trials of a row: one a seed, or one of all seeds."""
    groups = [arguments.seeds] if row.ensemble else [(seed,) for seed in arguments.seeds]
    directory = output / f"table{arguments.table}" / file_name(row.name)
    paths = [directory / f"seed{'-'.join(map(str, seeds))}.json" for seeds in groups]
    return [Trial(row.name, seeds, *configs, output, path) for seeds, path in zip(groups, paths, strict=True)]


def _make_directories(paths):
    for path in paths:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--output: cannot make the directory {path}: {error.strerror}") from None


def _write(comparison, trials, arguments, output):
    """Writes the table, the plot and the pictures as far as there are results; returns the table."""
    results = {
        name: [result for result in (trial.result() for trial in of_row) if result] for name, of_row in trials.items()
    }
    base = base_path(arguments.dataset)
    text = markdown_table(comparison, results, arguments.dataset, arguments.seeds, base, arguments.override)
    path = output / f"table{arguments.table}.md"
    write_text(text, path)
    save_plot(comparison, results, arguments.dataset, path.with_suffix(".png"))
    examples = path.with_name(f"{path.stem}_examples.png")
    # Of each row those of its first seed.
    drawings = {name: trial.drawing() for name, (trial, *_) in trials.items() if trial.is_done()}
    if drawings:
        save_examples(drawings, examples)
    return f"{text}\nin {path}, plotted in {path.with_suffix('.png')}; what the networks find: {examples}"


if __name__ == "__main__":
    run_program(main)
