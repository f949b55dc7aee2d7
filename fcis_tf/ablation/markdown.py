"""A table as Markdown."""

import math

from fcis_tf.ablation.summary import TIME_COLUMNS, accuracy_columns, summarize

_PAPER_COLUMNS = {
    "mAP50": "mAP^r 0.5",
    "mAP70": "mAP^r 0.7",
    "AP": "AP",
    "AP50": "AP50",
    "seconds_per_image": "s / image",
}
_LEGEND = """\
Accuracies of masks in percent, times in seconds: mean ± sample standard deviation over the seeds. The time of an image
is the median from the decoded photograph to its masks, the time of a step the median of training, input included."""


def markdown_table(comparison, results, dataset, seeds, base, overrides=()):
    """Lays a table out as Markdown, as far as it is done.

    Args:
        comparison: a Comparison.
        results: {name of a row: list of results of its seeds, as `Trial.run` returns them}; without a row, or with
            fewer results, where some are still to come.
        dataset: its name.
        seeds: those asked for.
        base: path of the configuration that the rows share.
        overrides: that were applied to all rows.

    Returns:
        The text.
    """
    paper = [key for key in _PAPER_COLUMNS if any(getattr(row.paper, key) is not None for row in comparison.rows)]
    headings = [*accuracy_columns(dataset), *TIME_COLUMNS]
    lines = [_line(["", *headings, "seeds", *(f"paper: {_PAPER_COLUMNS[key]}" for key in paper)])]
    lines.append(_line(["---", *["---:"] * (len(headings) + 1 + len(paper))]))
    for row in comparison.rows:
        done = results.get(row.name, [])
        summaries = summarize(done, dataset)
        digits = {heading: 3 if heading in TIME_COLUMNS else 1 for heading in headings}
        cells = [_figure(summaries[heading], digits[heading]) for heading in headings]
        figures = ["" if getattr(row.paper, key) is None else f"{getattr(row.paper, key)}" for key in paper]
        lines.append(_line([row.name.replace("|", "\\|"), *cells, _count(row, done, seeds), *figures]))
    common = "".join(f", `{override}`" for override in overrides)
    return (
        f"# {comparison.title}\n\n`{base}`{common}; seeds {', '.join(map(str, seeds))}.\n\n"
        + "\n".join(lines)
        + f"\n\n{_LEGEND}\nThe paper's figures: {comparison.paper}.\n"
    )


def _line(cells):
    return f"| {' | '.join(cells)} |"


def _figure(summary, digits):
    if not summary.values:
        return "-"
    spread = "" if math.isnan(summary.spread) else f" ± {summary.spread:.{digits}f}"
    return f"{summary.mean:.{digits}f}{spread}"


def _count(row, results, seeds):
    if row.ensemble:
        return f"{len(seeds)} together" if results else "-"
    return str(len(seeds)) if len(results) == len(seeds) else f"{len(results)} of {len(seeds)}"
