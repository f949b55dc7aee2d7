"""Rendering of masks in stock TensorFlow operators.

Bilinear interpolation is separable: a rendered mask is a product of three matrices, row weights, mask and column
weights. Side by side, the products of all voters are one. The detections are rendered a few at a time, and each only
within the pixels around its voters, since all of them in float32 at once could fill the memory.
"""

import tensorflow as tf

# Detections that may be rendered at the same time.
PARALLEL = 4
# Pixels times voters, as float32, that may be rendered at the same time where each voter's mask is compared by itself.
MOST_VALUES = 2**24


def render_masks(roi_masks, rois, votes, image_size, binary_threshold, threshold_first):
    """See `fcis_tf.ops.render_masks`."""
    regions = _Regions(roi_masks, rois, image_size, binary_threshold, threshold_first)

    def render(weights):
        probabilities, begin, end = regions.render(weights)
        box = _tight_box(probabilities, regions.threshold)
        mask = tf.pad(probabilities > regions.threshold, tf.stack([begin, image_size - end], axis=1))
        return _moved(box, begin), mask

    spec = tf.TensorSpec([4], tf.float32), tf.TensorSpec([None, None], tf.bool)
    # Without a detection map_fn cannot tell the size of a rendered mask.
    boxes, masks = tf.cond(
        tf.shape(votes)[0] > 0,
        lambda: tf.map_fn(render, regions.usable(votes), fn_output_signature=spec, parallel_iterations=PARALLEL),
        lambda: (tf.zeros([0, 4]), tf.zeros(tf.concat([[0], image_size], axis=0), tf.bool)),
    )
    size = tf.get_static_value(image_size)
    shape = [votes.shape[0], *([None, None] if size is None else size)]
    return tf.ensure_shape(boxes, [votes.shape[0], 4]), tf.ensure_shape(masks, shape)


def render_box_masks(roi_masks, rois, votes, image_size, mask_size, binary_threshold, threshold_first):
    """See `fcis_tf.ops.render_box_masks`."""
    regions = _Regions(roi_masks, rois, image_size, binary_threshold, threshold_first)

    def render(weights):
        probabilities, begin, end = regions.render(weights)
        box = _tight_box(probabilities, regions.threshold)
        size = end - begin
        rows = _overlaps(box[0], box[2], size[0], mask_size)
        columns = _overlaps(box[1], box[3], size[1], mask_size)
        mask = tf.cast(probabilities > regions.threshold, tf.float32)
        # Sums of fractions may exceed 1 by a rounding error.
        return _moved(box, begin), tf.minimum(tf.matmul(rows @ mask, columns, transpose_b=True), 1.0)

    spec = tf.TensorSpec([4], tf.float32), tf.TensorSpec([mask_size, mask_size], tf.float32)
    return tf.map_fn(render, regions.usable(votes), fn_output_signature=spec, parallel_iterations=PARALLEL)


class _Regions:
    """Regions of interest, their masks, and how to render the mean of some of them.

    Args:
        roi_masks, rois, image_size, binary_threshold, threshold_first: see `fcis_tf.ops.render_masks`.

    Attributes:
        threshold: scalar float32 tensor, at least 0, or NaN.
    """

    def __init__(self, roi_masks, rois, image_size, binary_threshold, threshold_first):
        self.threshold = tf.where(binary_threshold < 0, 0.0, binary_threshold)
        self._threshold_first = threshold_first
        self._masks = tf.where(tf.math.is_finite(roi_masks), roi_masks, 0.0)
        self._cells = tf.shape(roi_masks)[-1]
        self._boxes = tf.round(rois) if threshold_first else rois
        # In float64, as float32 would round what lies just beside the centre of a pixel.
        edges = tf.math.ceil(tf.cast(self._boxes, tf.float64) - 0.5)
        edges = tf.clip_by_value(edges, tf.zeros([], tf.float64), tf.cast(tf.tile(image_size, [2]), tf.float64))
        side = self._boxes[:, 2:] - self._boxes[:, :2]
        self._covers_pixels = tf.reduce_all(tf.math.is_finite(side) & (edges[:, 2:] > edges[:, :2]), axis=1)
        # Of regions that do not cover a pixel they could be anything.
        self._pixels = tf.cast(tf.where(self._covers_pixels[:, None], edges, 0), tf.int32)

    def usable(self, votes):
        """Returns the votes [D, R], or 0 for those that do not count."""
        return tf.where(tf.math.is_finite(votes) & self._covers_pixels, votes, 0.0)

    def render(self, weights):
        """Renders what one detection's votes [R] say.

        Returns:
            The probabilities [end[0] - begin[0], end[1] - begin[1]] float32 of the pixels around the voters, and begin
            and end, [2] int32 each (y, x).
        """
        voters = tf.where(weights > 0)[:, 0]
        of_all = weights, self._masks, self._boxes, self._pixels
        weights, masks, boxes, pixels = (tf.gather(values, voters) for values in of_all)
        # Without voters the least is the greatest integer there is.
        end = tf.maximum(tf.reduce_max(pixels[:, 2:], axis=0), 0)
        begin = tf.minimum(tf.reduce_min(pixels[:, :2], axis=0), end)
        y, x = (tf.cast(tf.range(begin[axis], end[axis]), tf.float32) + 0.5 for axis in range(2))
        cells = tf.range(self._cells, dtype=tf.float32)
        # [height, V, P] and [V, P, width], the order in which they are multiplied.
        rows = _interpolation_weights(boxes[:, 0, None], boxes[:, 2, None], y[:, None, None], cells)
        columns = _interpolation_weights(boxes[:, 1, None, None], boxes[:, 3, None, None], x, cells[:, None])
        if self._threshold_first:
            return self._mean_of_thresholded(weights, rows, masks @ columns), begin, end
        # [height, V * P] by [V * P, width]
        length = tf.size(weights) * self._cells
        stretched = tf.reshape((weights[:, None, None] * masks) @ columns, [length, end[1] - begin[1]])
        return tf.reshape(rows, [end[0] - begin[0], length]) @ stretched, begin, end

    def _mean_of_thresholded(self, weights, rows, stretched):
        """Returns the weighted mean [height, width] of masks [V, height, width] that are compared with the threshold.

        Args:
            weights: [V] float32.
            rows: [height, V, P] float32, the weights of interpolation along y.
            stretched: [V, P, width] float32, masks that are interpolated along x.
        """
        height, voters, width = tf.shape(rows)[0], tf.size(weights), tf.shape(stretched)[2]
        rows = tf.transpose(rows, [1, 0, 2])
        step = tf.maximum(MOST_VALUES // tf.maximum(voters * width, 1), 1)

        def add(begin, bands):
            each = tf.matmul(rows[:, begin : begin + step], stretched) > self.threshold
            each = tf.reshape(tf.cast(each, tf.float32), [voters, -1])
            band = tf.reshape(weights[None] @ each, [-1, width])
            return begin + step, bands.write(begin // step, band)

        bands = tf.TensorArray(tf.float32, (height + step - 1) // step, infer_shape=False, element_shape=[None, None])
        _, bands = tf.while_loop(lambda begin, _: begin < height, add, (0, bands), parallel_iterations=1)
        return tf.cond(height > 0, bands.concat, lambda: tf.zeros([0, width]))


def _interpolation_weights(low, high, centres, cells):
    """How much each cell of a mask contributes to each pixel along one axis; the arguments broadcast.

    Args:
        low, high: float32, the boxes' edges in pixels.
        centres: float32, the pixels' centres.
        cells: float32, the indices of all cells, [P] or [P, 1].

    Returns:
        float32; of a pixel whose centre is inside a box they sum to 1, else to 0.
    """
    count = tf.cast(tf.size(cells), tf.float32)
    positions = tf.clip_by_value((centres - low) / (high - low) * count - 0.5, 0.0, count - 1.0)
    # Outside the box so far away from all cells that their weights are 0.
    positions = tf.where((low <= centres) & (centres < high), positions, -2.0)
    return tf.nn.relu(1.0 - tf.abs(positions - cells))


def _tight_box(probabilities, threshold):
    """Returns [4] int32, the box around the pixels of greater probability; of the corner (0, 0) where there is none."""
    edges = []
    for other_axis in (1, 0):
        # The maximum of floats, other than the disjunction of bools, is vectorised.
        occupied = tf.reduce_max(probabilities, axis=other_axis) > threshold
        positions = tf.cast(tf.where(occupied)[:, 0], tf.int32)
        last = tf.maximum(tf.reduce_max(positions), -1)
        edges.append((tf.minimum(tf.reduce_min(positions), last + 1), last + 1))
    return tf.stack([edges[0][0], edges[1][0], edges[0][1], edges[1][1]])


def _moved(box, begin):
    """Returns a box [4] int32 as float32, from pixels that are counted from `begin` (y, x); an empty one is zeros."""
    return tf.cast(tf.where(box[2] > box[0], box + tf.tile(begin, [2]), 0), tf.float32)


def _overlaps(begin, end, num_pixels, num_cells):
    """How much of each cell of a grid each pixel covers along one axis.

    Args:
        begin, end: int32, the first pixel of the grid, and that after the last.
        num_pixels: int32.
        num_cells: cells of the grid.

    Returns:
        [num_cells, num_pixels] float32; a row sums to 1, or to 0 if the grid is empty.
    """
    # A pixel is `num_cells` units long, and a cell as many as there are pixels in the grid: all edges are whole.
    pixels = tf.cast(tf.range(num_pixels) - begin, tf.float32) * num_cells
    extent = tf.cast(end - begin, tf.float32)
    cells = tf.range(num_cells, dtype=tf.float32)[:, None] * extent
    overlaps = tf.minimum(pixels + num_cells, cells + extent) - tf.maximum(pixels, cells)
    return tf.math.divide_no_nan(tf.nn.relu(overlaps), extent)
