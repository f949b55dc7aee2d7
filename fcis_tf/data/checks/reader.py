"""What training itself says of a data set."""

from fcis_tf.data.checks.finding import Finding


def check_reader(content, config):
    """Annotations and images that training and evaluation skip or repair."""
    if content.problems is None:
        return
    for kind, count in sorted(content.problems.counts.items()):
        yield Finding(
            "warning",
            f"{kind} ({count}), which are skipped or repaired when the data set is read",
            "Correct them, or do without them",
            content.problems.examples[kind][0],
        )
