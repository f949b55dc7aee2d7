"""The terms of the joint loss, each for every anchor or RoI."""

import tensorflow as tf


def softmax_loss(logits, labels):
    """Returns the cross entropies [...] of logits [..., K] with labels [...] int32; negative labels count as 0."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.maximum(labels, 0), logits=logits)


def sigmoid_loss(logits, targets):
    """Returns the cross entropies [...] of logits [...] with targets [...] bool."""
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.cast(targets, logits.dtype), logits=logits)


def mask_loss(mask_logits, mask_targets):
    """Returns the per-pixel softmax loss, averaged over a RoI's P x P bins (FCIS section 3.3); 0 without bins.

    Args:
        mask_logits: [N, R, P, P, 2] (outside, inside) of each RoI's own class.
        mask_targets: [N, R, P, P] int32, 1 inside.

    Returns:
        [N, R] float32.
    """
    losses = softmax_loss(mask_logits, mask_targets)
    bins = tf.cast(tf.reduce_prod(tf.shape(losses)[2:]), losses.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(losses, axis=(2, 3)), bins)


def smooth_l1_loss(predictions, targets, sigma=1.0):
    """Returns the sums [...] over the last axis of Fast R-CNN's smooth L1 (its section 2.3).

    Args:
        predictions, targets: [..., 4].
        sigma: the loss is quadratic where the error is below 1 / sigma^2 (3 for the RPN, as published).
    """
    error = tf.abs(predictions - targets)
    squared = sigma**2
    loss = tf.where(error < 1.0 / squared, 0.5 * squared * error**2, error - 0.5 / squared)
    return tf.reduce_sum(loss, axis=-1)


def mean_where(values, mask):
    """Returns the mean [N] of values [N, A] where mask [N, A] is true; 0 where it never is."""
    mask = tf.cast(mask, values.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(values * mask, axis=1), tf.reduce_sum(mask, axis=1))


def count(correct, among):
    """Returns how many of `among` are `correct`, and how many there are, [2] float32; both bool, of one shape."""
    among = tf.cast(among, tf.float32)
    return tf.stack([tf.reduce_sum(tf.cast(correct, tf.float32) * among), tf.reduce_sum(among)])
