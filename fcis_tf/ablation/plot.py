"""A table as a plot."""

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fcis_tf.ablation.summary import TIME_COLUMNS, accuracy_columns, summarize
from fcis_tf.visualization import write_picture

_COLORS = "viridis"


def save_plot(comparison, results, dataset, path):
    """Draws a table as far as it is done: bars of the means, a dot for each seed.

    A file that was there stays intact until the new one is complete.

    Args:
        comparison: a Comparison.
        results: {name of a row: list of results of its seeds, as `Trial.run` returns them}.
        dataset: its name.
        path: of the PNG file.

    Raises:
        UserError: it cannot be written.
    """
    names = [row.name for row in comparison.rows]
    summaries = [summarize(results.get(name, []), dataset) for name in names]
    figure = Figure(figsize=(13, 1.6 + 0.6 * len(names)), dpi=110, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(1, 3, sharey=True, width_ratios=(2, 1, 1))
    _bars(panels[0], summaries, list(accuracy_columns(dataset)))
    panels[0].set(xlabel="masks, %", yticks=range(len(names)), yticklabels=names)
    panels[0].legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=6, frameon=False)
    # Also where rows have no bars yet.
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    for panel, heading in zip(panels[1:], TIME_COLUMNS, strict=True):
        _bars(panel, summaries, [heading])
        panel.set(xlabel=heading)
    figure.suptitle(f"{comparison.title}: {dataset}")
    canvas.draw()
    write_picture(np.asarray(canvas.buffer_rgba())[..., :3], path)


def _bars(panel, summaries, headings):
    """Draws a bar of every row and heading, the rows from 0 on."""
    height = 0.8 / len(headings)
    colors = matplotlib.colormaps[_COLORS](np.linspace(0.25, 0.75, len(headings)))
    for i, (heading, color) in enumerate(zip(headings, colors, strict=True)):
        places = np.arange(len(summaries)) + (i - (len(headings) - 1) / 2) * height
        means = [summary[heading].mean for summary in summaries]
        spreads = np.nan_to_num([summary[heading].spread for summary in summaries])
        panel.barh(places, means, 0.9 * height, xerr=spreads, color=color, label=heading, ecolor="0.3")
        for place, summary in zip(places, summaries, strict=True):
            values = summary[heading].values
            panel.plot(values, [place] * len(values), "o", color="0.1", markersize=2.5)
    panel.set_xlim(left=0)
    panel.spines[["top", "right"]].set_visible(False)
