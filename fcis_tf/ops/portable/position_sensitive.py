"""The position-sensitive operators in stock TensorFlow operators.

Pooling is one sparse operator: every bin is a segment of the cells that it covers, and the mean over a segment of
gathered rows is `tf.sparse.segment_mean`, which never materialises the gathered rows.
"""

import numpy as np
import tensorflow as tf


def ps_roi_pool(features, boxes, box_indices, group_size, pooled_size, stride):
    """See `fcis_tf.ops.ps_roi_pool`."""
    batch, height, width = tf.unstack(tf.shape(features)[:3])
    depth = (features.shape[-1] or tf.shape(features)[-1]) // group_size**2
    rows = _bins(boxes[:, 0], boxes[:, 2], height, pooled_size, stride)
    columns = _bins(boxes[:, 1], boxes[:, 3], width, pooled_size, stride)
    cells, bins = _cells_of_bins(rows, columns, box_indices, height, width, group_size, pooled_size)
    count = tf.shape(boxes)[0] * pooled_size**2
    # One pair more, which is thrown away: without any, the gradient would be memory that nothing was written to.
    pooled = tf.sparse.segment_mean(
        tf.reshape(tf.cast(features, tf.float32), [batch * height * width * group_size**2, depth]),
        tf.concat([cells, [0]], axis=0),
        tf.concat([bins, [count]], axis=0),
        num_segments=count + 1,
    )
    pooled = tf.reshape(pooled[:count], [tf.shape(boxes)[0], pooled_size, pooled_size, depth])
    return tf.cast(pooled, features.dtype)


def ps_assemble(score_maps, boxes, box_indices, labels, group_size, pooled_size, stride):
    """See `fcis_tf.ops.ps_assemble`."""
    pooled = ps_roi_pool(tf.cast(score_maps, tf.float32), boxes, box_indices, group_size, pooled_size, stride)
    classes = (pooled.shape[-1] or tf.shape(pooled)[-1]) // 2
    pooled = tf.reshape(pooled, [tf.shape(boxes)[0], pooled_size**2, classes, 2])
    class_logits = tf.reduce_mean(tf.maximum(pooled[..., 0], pooled[..., 1]), axis=1)
    if labels is None:
        labels = 1 + tf.argmax(class_logits[:, 1:], axis=1, output_type=tf.int32)
    mask_logits = tf.gather(pooled, labels, axis=2, batch_dims=1)
    mask_logits = tf.reshape(mask_logits, [tf.shape(boxes)[0], pooled_size, pooled_size, 2])
    return tf.cast(class_logits, score_maps.dtype), tf.cast(mask_logits, score_maps.dtype)


def _bins(low, high, size, pooled_size, stride):
    """Cells that every bin covers along one axis.

    Args:
        low, high: [R] float32, the boxes' edges in pixels.
        size: int32, the map's extent in cells.

    Returns:
        (begin, end): [R, P] int32, half-open and within the map.
    """
    low, high = _divide(_round_half_away(low), stride), _divide(_round_half_away(high), stride)
    side = high - low
    # An edge that is infinite or undefined makes all bins' edges undefined, and so the bins empty.
    side = tf.where(tf.math.is_finite(side), tf.maximum(side, 0.1), np.nan)
    bin_size = _divide(side, pooled_size)[:, None]
    low = low[:, None]
    index = tf.range(pooled_size, dtype=tf.float32)
    begin = tf.floor(index * bin_size + low)
    end = tf.math.ceil((index + 1.0) * bin_size + low)
    limit = tf.where(begin < end, tf.cast(size, tf.float32), 0.0)
    begin, end = (tf.where(limit > 0, tf.clip_by_value(edge, 0.0, limit), 0.0) for edge in (begin, end))
    return tf.cast(begin, tf.int32), tf.cast(end, tf.int32)


def _round_half_away(x):
    # floor(x + 0.5) would round 0.49999997 up, since the sum is rounded to 1.
    magnitude = tf.abs(x)
    whole = tf.floor(magnitude)
    return tf.sign(x) * (whole + tf.cast(magnitude - whole >= 0.5, x.dtype))


def _divide(x, divisor):
    # Grappler turns division by a constant into multiplication by its reciprocal, which can be one unit in the last
    # place off and move a bin's edge by a whole cell. In float64 that error vanishes when the result is rounded.
    return tf.cast(tf.cast(x, tf.float64) / divisor, tf.float32)


def _cells_of_bins(rows, columns, box_indices, height, width, group_size, pooled_size):
    """Lists the (cell, bin) pairs, by bin, for all cells that all bins cover.

    Args:
        rows, columns: pairs (begin, end) of [R, P] int32.

    Returns:
        cells: [K] int32, index into the map flattened to [N * H * W * k * k].
        bins: [K] int32, index into the bins flattened to [R * P * P], ascending.
    """
    row_begin, row_count = rows[0], tf.maximum(rows[1] - rows[0], 0)
    column_begin, column_count = columns[0], tf.maximum(columns[1] - columns[0], 0)
    counts = tf.reshape(row_count[:, :, None] * column_count[:, None, :], [-1])
    bins = tf.repeat(tf.range(tf.size(counts)), counts)
    within_bin = tf.range(tf.size(bins)) - tf.gather(tf.cumsum(counts, exclusive=True), bins)

    per_row = tf.reshape(tf.tile(column_count[:, None, :], [1, pooled_size, 1]), [-1])
    within_columns = tf.gather(tf.maximum(per_row, 1), bins)
    grid = tf.range(pooled_size) * group_size // pooled_size
    first_row = box_indices[:, None] * height + row_begin
    # The index of a bin's first cell; the other cells follow at fixed distances.
    first = (first_row[:, :, None] * width + column_begin[:, None, :]) * group_size**2
    first = tf.reshape(first + grid[:, None] * group_size + grid, [-1])
    offset = within_bin // within_columns * width + within_bin % within_columns
    return tf.gather(first, bins) + offset * group_size**2, bins
