"""What a data set holds, told by its annotations alone, as tables of text."""

import numpy as np

from fcis_tf.data.anchor_reach import best_anchor_ious, boxes_at_network_scale, network_scales
from fcis_tf.printable import printable

# COCO's bounds of the area of small and medium instances, in pixels.
_SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, np.inf)}
_QUANTILES = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)
_REACHES = (0.7, 0.5)


def statistics_tables(ground_truth, config, split):
    """Describes a data set.

    Args:
        ground_truth: pycocotools COCO, of `source.ground_truth()`.
        config: Config, whose scales and anchors are taken.
        split: "train" or "eval", which has its own scales.

    Returns:
        A string: tables of instances a class, of sizes and shapes as stored and as the network sees them, and of how
        many instances the anchors reach. Where training has several scales, the network sees each instance at all.
    """
    dataset = ground_truth.dataset
    instances = [annotation for annotation in dataset["annotations"] if not annotation["iscrowd"]]
    rows = {image["id"]: row for row, image in enumerate(dataset["images"])}
    sizes = np.array([[image["height"], image["width"]] for image in dataset["images"]], np.float64).reshape(-1, 2)
    of_instances = np.array([rows[instance["image_id"]] for instance in instances], np.int64)
    x, y, width, height = np.array([a["bbox"] for a in instances], np.float64).reshape(-1, 4).T
    boxes = np.stack([y, x, y + height, x + width], axis=1)
    scales = network_scales(config.data, split)
    resized, resized_sizes = boxes_at_network_scale(boxes, sizes[of_instances], scales)
    areas = np.array([instance["area"] for instance in instances], np.float64)
    # Masks grow with their image.
    resized_areas = np.tile(areas / sizes[of_instances].prod(axis=1), len(scales)) * resized_sizes.prod(axis=1)
    tables = [
        _overview(dataset, sizes, of_instances),
        _classes(dataset),
        _quantiles(sizes, of_instances, boxes, areas, resized_areas),
        _size_groups(areas, resized_areas),
        _reach(resized, resized_sizes, resized_areas, config.model),
    ]
    if split == "train" and config.data.train_scales:
        tables.append(_about_scales([short_side for short_side, _ in scales]))
    return "\n\n".join(tables)


def _overview(dataset, sizes, of_instances):
    crowds = sum(bool(annotation["iscrowd"]) for annotation in dataset["annotations"])
    with_instances = len(np.unique(of_instances))
    rows = [
        ("images", [len(sizes)]),
        ("  without an instance", [len(sizes) - with_instances]),
        ("instances", [len(of_instances)]),
        ("crowd regions", [crowds]),
        ("classes", [len(dataset["categories"])]),
    ]
    return _table(("", ""), rows)


def _classes(dataset):
    """Counts instances of each class, the most frequent class first."""
    counts = {category["id"]: [0, set(), 0] for category in dataset["categories"]}
    for annotation in dataset["annotations"]:
        count = counts[annotation["category_id"]]
        if annotation["iscrowd"]:
            count[2] += 1
        else:
            count[0] += 1
            count[1].add(annotation["image_id"])
    total = max(sum(instances for instances, _, _ in counts.values()), 1)
    names = {category["id"]: printable(category["name"]) for category in dataset["categories"]}
    rows = [
        (names[category_id], [instances, f"{100 * instances / total:.1f} %", len(images), crowds])
        for category_id, (instances, images, crowds) in counts.items()
    ]
    rows.sort(key=lambda row: -row[1][0])
    return _table(("class", "instances", "", "images", "crowds"), rows)


def _quantiles(sizes, of_instances, boxes, areas, resized_areas):
    heights, widths = (boxes[:, 2:] - boxes[:, :2]).T
    per_image = np.bincount(of_instances, minlength=len(sizes))
    values = {
        "image height": sizes[:, 0],
        "image width": sizes[:, 1],
        "instances an image": per_image,
        "sqrt(area), as stored": np.sqrt(areas),
        "sqrt(area), as the network sees it": np.sqrt(resized_areas),
        "box height / width": heights / widths,
    }
    columns = ("", "least", *(f"{100 * q:.0f} %" for q in _QUANTILES[1:-1]), "most")
    rows = [(name, [_number(q) for q in np.quantile(v, _QUANTILES)]) for name, v in values.items() if len(v)]
    return _table(columns, rows)


def _size_groups(areas, resized_areas):
    rows = [
        (name, [_share(groups[size]) for size in _SIZES])
        for name, groups in (("as stored", _grouped(areas)), ("as the network sees it", _grouped(resized_areas)))
    ]
    return _table(("instances by area", "small < 32²", "medium", "large > 96²"), rows)


def _reach(boxes, sizes, areas, model):
    """Counts the instances that no anchor reaches, by their area as the network sees it."""
    ious = best_anchor_ious(boxes, sizes, model.anchor_scales, model.anchor_ratios, model.round_anchors)
    groups = {"all": np.ones(len(ious), bool)} | _grouped(areas)
    rows = [
        (f"no anchor of an IoU of {reach}", [_share((ious < reach)[group]) for group in groups.values()])
        for reach in _REACHES
    ]
    return _table(("instances with", *groups), rows)


def _about_scales(short_sides):
    return (
        "Sizes as the network sees them and what anchors reach count each instance once at every one of\n"
        f"data.train_scales, short sides of {', '.join(map(str, short_sides))} pixels, before images are cropped."
    )


def _grouped(areas):
    return {name: (areas >= low) & (areas < high) for name, (low, high) in _SIZES.items()}


def _share(selected):
    """Returns how many of a bool array are True, and which part of it: "12 (3.4 %)"."""
    return f"{selected.sum()} ({100 * selected.mean():.1f} %)" if len(selected) else "-"


def _number(value):
    return f"{value:.2f}" if value < 10 and value != round(value) else f"{value:.0f}"


def _table(columns, rows):
    """Lays rows (name, values) out: the names on the left, values on the right of as narrow columns as hold them."""
    cells = [columns, *((name, *map(str, values)) for name, values in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        f"{name:{widths[0]}}" + "".join(f"  {value:>{width}}" for value, width in zip(values, widths[1:], strict=True))
        for name, *values in cells
    ]
    return "\n".join(line.rstrip() for line in lines).lstrip("\n")
