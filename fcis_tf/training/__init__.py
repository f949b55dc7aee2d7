"""Training: the optimisation, its loop, and what is shown of it."""

from fcis_tf.training.session import train

__all__ = ["train"]
