"""Mean and spread over seeds."""

import math
import statistics
from typing import NamedTuple

_VOC_COLUMNS = {"mAP^r 0.5": ("voc", "mAP50"), "mAP^r 0.7": ("voc", "mAP70")}
_COCO_COLUMNS = {name: ("segm", name) for name in ("AP", "AP50", "AP75", "APs", "APm", "APl")}
TIME_COLUMNS = {"s / image": "seconds_per_image", "s / step": "seconds_per_step"}


class Summary(NamedTuple):
    """A figure over seeds.

    Attributes:
        values: of each seed that has one; for accuracies in percent.
    """

    values: tuple

    @property
    def mean(self):
        """The mean, NaN without values."""
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def spread(self):
        """The sample standard deviation (of n values, over n - 1), NaN for fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else math.nan


def accuracy_columns(dataset):
    """Returns {heading: (part of the metrics, name)}: COCO's metrics of masks on COCO, VOC's elsewhere."""
    return _COCO_COLUMNS if dataset == "coco" else _VOC_COLUMNS


def summarize(results, dataset):
    """Summarises the results of a row.

    Args:
        results: a list of what `Trial.run` returns.
        dataset: its name.

    Returns:
        {heading: Summary}: the accuracies, then the times.
    """
    summaries = {}
    for heading, (part, name) in accuracy_columns(dataset).items():
        values = (result["metrics"][part][name] for result in results)
        # -1 where there was nothing to find.
        summaries[heading] = Summary(tuple(100 * value for value in values if value >= 0))
    for heading, name in TIME_COLUMNS.items():
        values = (result[name] for result in results)
        summaries[heading] = Summary(tuple(value for value in values if value is not None))
    return summaries
