"""How long a training step took, from the curves that training left behind."""

import statistics

import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

_TAG = "images_per_second"


def median_step_time(config, model_dir):
    """Returns the median time of a step over the rounds of `training.log_every` steps.

    Without the very first one, which compiles the graph; those of later starts, which do too, are among them.

    Args:
        config: the Config that the network was trained with.
        model_dir: its model directory.

    Returns:
        Seconds, input included; None if there was only one round, or TensorBoard's curves are gone.
    """
    # All values, not a sample.
    curves = EventAccumulator(str(model_dir / "train"), size_guidance={"tensors": 0})
    if not (model_dir / "train").is_dir() or _TAG not in curves.Reload().Tags()["tensors"]:
        return None
    speeds = [tf.make_ndarray(event.tensor_proto).item() for event in curves.Tensors(_TAG)]
    if len(speeds) < 2:
        return None
    return config.training.images_per_step / statistics.median(speeds[1:])
