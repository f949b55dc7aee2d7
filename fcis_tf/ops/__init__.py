"""Operators of FCIS, native and portable: position-sensitive pooling and assembly, rendering of masks."""

from fcis_tf.ops.implementation import use_implementation
from fcis_tf.ops.mask_rendering import render_box_masks, render_masks
from fcis_tf.ops.position_sensitive import ps_assemble, ps_roi_pool

__all__ = ["ps_assemble", "ps_roi_pool", "render_box_masks", "render_masks", "use_implementation"]
