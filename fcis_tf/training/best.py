"""The best network of a run, beside the newest ones."""

import json

from fcis_tf.checkpoints import copy_checkpoint, has_checkpoints
from fcis_tf.json_file import write_json
from fcis_tf.model_directory import describe_run, read_classes, read_config

BEST_DIR = "best"
METRICS_FILE = "metrics.json"


def keep_if_best(model_dir, step, metrics, checkpoint_dir=None):
    """Makes a checkpoint the content of MODEL_DIR/best if its masks' AP is above that of the one there.

    MODEL_DIR/best is a model directory itself. Should the program be killed here, it holds the old network or the new
    one, whole; where it is the new one with the old metrics.json, the next evaluation of the same step mends that.

    Args:
        model_dir: the directory of the run.
        step: of the checkpoint, which was evaluated.
        metrics: its metrics, as metrics.json has them.
        checkpoint_dir: where the checkpoint is; None for `model_dir`.

    Returns:
        Whether it is the best so far.

    Raises:
        UserError: it cannot be written.
    """
    best_dir = model_dir / BEST_DIR
    if has_checkpoints(best_dir) and metrics["segm"]["AP"] <= _mask_ap(best_dir / METRICS_FILE):
        return False
    describe_run(best_dir, read_config(model_dir), *read_classes(model_dir))
    copy_checkpoint(step, checkpoint_dir or model_dir, best_dir)
    write_json(metrics, best_dir / METRICS_FILE)
    return True


def _mask_ap(path):
    """Returns the masks' AP that a metrics.json holds, less than any other if it is missing or damaged."""
    try:
        return float(json.loads(path.read_text())["segm"]["AP"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return float("-inf")
