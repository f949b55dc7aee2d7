"""COCO's metrics as text."""

_ROWS = {"segm": "masks", "bbox": "boxes"}


def metrics_table(metrics):
    """Lays CocoMetrics out as text: the summary, "-" where there was nothing to find, then the classes there were."""
    columns = list(metrics.summary["segm"])
    summary = [(_ROWS[kind], [values[column] for column in columns]) for kind, values in metrics.summary.items()]
    found = {name: [values[kind] for kind in _ROWS] for name, values in metrics.class_ap50.items()}
    classes = [(name, values) for name, values in found.items() if max(values) >= 0]
    return f"{_table('', columns, summary)}\n\n{_table('AP50', list(_ROWS.values()), classes)}"


def _table(corner, columns, rows):
    width = max(len(name) for name, _ in [(corner, ()), *rows])
    lines = [f"{corner:{width}}" + "".join(f"{column:>8}" for column in columns)]
    lines += [f"{name:{width}}" + "".join(f"{_number(value):>8}" for value in values) for name, values in rows]
    return "\n".join(lines)


def _number(value):
    return "-" if value < 0 else f"{value:.3f}"
