"""What training itself says of a data set."""

from fcis_tf.data.checks.finding import Finding

# A data set that loses this part of it is hardly the one that was meant.
_MOST = 0.5

# What check_category_ids, check_image_ids and check_image_files tell, of COCO's format.
_TOLD = {"annotations of unknown categories", "annotations of unknown images", "images without a file"}


def check_reader(content, config):
    """Annotations and images that training and evaluation skip or repair."""
    if content.problems is None:
        return
    told = _TOLD if content.config.format == "coco" else set()
    counts = {kind: count for kind, count in content.problems.counts.items() if kind not in told}
    for what in ("images", "annotations"):
        left_out = {kind: n for kind, n in sorted(content.problems.left_out[what].items()) if kind in counts}
        count, total = sum(left_out.values()), _total(content, what)
        if count and count >= _MOST * total:
            kinds = ", ".join(f"{kind} ({n})" for kind, n in left_out.items())
            example = content.problems.examples[max(left_out, key=left_out.get)][0]
            message = f"{count} of {total} {what} are left out when the data set is read: {kinds}"
            yield Finding("error", message, "Correct them: hardly this much is meant to be missing", example)
            counts = {kind: n for kind, n in counts.items() if kind not in left_out}
    for kind, count in sorted(counts.items()):
        yield Finding(
            "warning",
            f"{kind} ({count}), which are skipped or repaired when the data set is read",
            "Correct them, or do without them",
            content.problems.examples[kind][0],
        )


def _total(content, what):
    """Returns how many images or annotations there are in the files, those that are left out among them."""
    listed, left_out = len(getattr(content, what)), content.problems.left_out[what].total()
    # Other formats than COCO's are looked at through their readers.
    return max(listed, left_out) if content.config.format == "coco" else listed + left_out
