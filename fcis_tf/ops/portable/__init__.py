"""All operators in stock TensorFlow operators, as an exported SavedModel contains them."""

from fcis_tf.ops.portable.mask_rendering import render_box_masks, render_masks
from fcis_tf.ops.portable.position_sensitive import ps_assemble, ps_roi_pool

__all__ = ["ps_assemble", "ps_roi_pool", "render_box_masks", "render_masks"]
