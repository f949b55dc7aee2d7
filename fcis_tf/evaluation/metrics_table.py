"""COCO's and PASCAL VOC's metrics as text."""

from fcis_tf.printable import printable

_ROWS = {"segm": "masks", "bbox": "boxes"}


def metrics_table(metrics):
    """Lays CocoMetrics out as text: the summary, "-" where there was nothing to find, then the classes there were.

    Where there is VOC's metric, it follows: the mean over classes, then every class.
    """
    columns = list(metrics.summary["segm"])
    summary = [(_ROWS[kind], [values[column] for column in columns]) for kind, values in metrics.summary.items()]
    found = {name: [values[kind] for kind in _ROWS] for name, values in metrics.class_ap50.items()}
    classes = [(name, values) for name, values in found.items() if max(values) >= 0]
    tables = [_table("", columns, summary), _table("AP50", list(_ROWS.values()), classes)]
    if metrics.voc is not None:
        tables.append(_voc_table(metrics.voc))
    return "\n\n".join(tables)


def _voc_table(voc):
    classes = [(name, [ap, voc["class_ap70"][name]]) for name, ap in voc["class_ap50"].items()]
    return _table("VOC mAP^r", ["0.5", "0.7"], [("mean", [voc["mAP50"], voc["mAP70"]]), *classes])


def _table(corner, columns, rows):
    rows = [(printable(name), values) for name, values in rows]
    width = max(len(name) for name, _ in [(corner, ()), *rows])
    lines = [f"{corner:{width}}" + "".join(f"{column:>8}" for column in columns)]
    lines += [f"{name:{width}}" + "".join(f"{_number(value):>8}" for value in values) for name, values in rows]
    return "\n".join(lines)


def _number(value):
    return "-" if value < 0 else f"{value:.3f}"
