"""Batches of the images of concurrent requests, in the graph.

Images of several sizes go through the network together on a canvas which holds every image of their orientation.
"""

import tensorflow as tf

from fcis_tf.data import SIZE_MULTIPLE

# How long an image waits for others at most.
_TIMEOUT_MICROSECONDS = 10_000


class CanvasBatches:
    """A function of one prepared image that is computed in batches, across all threads that call the graph.

    An image's outcome depends on the canvas: its border of zeros is wider than what an image alone is padded with.
    """

    def __init__(self, find, data_config, max_batch_size, name):
        """Prepares the batches; nothing is traced yet.

        Args:
            find: a tf.function of a batch of padded images [N, H, W, 3] float32 and their sizes [N, 2] int32, whose
                results are a dict of tensors with a leading dimension N.
            data_config: a DataConfig; its `short_side` and `long_side` are the canvas.
            max_batch_size: of how many images at most.
            name: of the batches; models that one process loads must not share theirs.
        """
        self._find = find
        self._max_batch_size = max_batch_size
        self._name = name
        self._short, self._long = (-(-side // SIZE_MULTIPLE) * SIZE_MULTIPLE for side in _sides(data_config))

    def __call__(self, image, size):
        """Computes the function for one image, as one of a batch.

        Args:
            image: [1, h, w, 3] float32, prepared.
            size: [1, 2] int32, its height and width.

        Returns:
            What `find` returns, for N = 1.
        """
        return tf.cond(
            size[0, 0] <= size[0, 1],
            lambda: self._on_canvas("landscape", image, size, self._short, self._long),
            lambda: self._on_canvas("portrait", image, size, self._long, self._short),
        )

    def _on_canvas(self, orientation, image, size, height, width):
        # A function of its own for each canvas, whose shapes are then known.
        find = tf.function(
            lambda images, sizes: self._find(images, sizes),
            input_signature=[tf.TensorSpec([None, height, width, 3]), tf.TensorSpec([None, 2], tf.int32)],
            autograph=False,
        ).get_concrete_function()
        specs = find.structured_outputs
        padding = [[0, 0], [0, height - size[0, 0]], [0, width - size[0, 1]], [0, 0]]
        results = tf.raw_ops.BatchFunction(
            in_tensors=[tf.ensure_shape(tf.pad(image, padding), [1, height, width, 3]), size],
            captured_tensors=find.captured_inputs,
            f=find,
            num_batch_threads=1,
            max_batch_size=self._max_batch_size,
            batch_timeout_micros=_TIMEOUT_MICROSECONDS,
            Tout=[spec.dtype for spec in tf.nest.flatten(specs)],
            max_enqueued_batches=1000,
            shared_name=f"{self._name}_{orientation}",
        )
        results = tf.nest.pack_sequence_as(specs, results)
        return {name: tf.ensure_shape(result, [1, *specs[name].shape[1:]]) for name, result in results.items()}


def _sides(data_config):
    """Returns the shorter and the longer side that no prepared image exceeds."""
    return min(data_config.short_side, data_config.long_side), data_config.long_side
