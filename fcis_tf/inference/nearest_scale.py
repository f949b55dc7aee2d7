"""Which of several scales shows a region of interest at the size that networks know best."""

import tensorflow as tf

from fcis_tf import boxes

# Pixels of a region as ImageNet's networks were trained to see it.
CANONICAL_AREA = 224.0 * 224.0


def nearest_scale(rois, factors):
    """Finds the scale at which the area of each region of interest is nearest to that of 224 x 224 pixels.

    The distance is the difference in pixels, as in SPP-net's and Fast R-CNN's code; FCIS (section 4.2) follows them.
    It is not symmetric in the scale: half the area is nearer than double.

    Args:
        rois: [..., 4] float32 (ymin, xmin, ymax, xmax), in pixels of an image.
        factors: [S, 2] float32, vertical and horizontal, by which each scale enlarges that image.

    Returns:
        [...] int32 in 0..S - 1; the first of several that are equally near.
    """
    areas = boxes.area(rois)[..., None] * tf.reduce_prod(factors, axis=-1)
    return tf.argmin(tf.abs(areas - CANONICAL_AREA), axis=-1, output_type=tf.int32)
