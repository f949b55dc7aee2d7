"""The position-sensitive operators of FCIS."""

from fcis_tf.ops.position_sensitive import ps_assemble, ps_roi_pool

__all__ = ["ps_assemble", "ps_roi_pool"]
