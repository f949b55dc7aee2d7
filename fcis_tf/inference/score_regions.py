"""From prepared images to scored regions of interest, with one network."""

import tensorflow as tf


def score_regions(model, images, image_sizes, second_pass):
    """Finds the regions of interest of a batch, their classes' probabilities and their masks.

    Args:
        model: FCIS.
        images: [N, H, W, 3] float32, prepared as for training and padded.
        image_sizes: [N, 2] int32, their heights and widths without the padding.
        second_pass: whether to score again the regions moved by their own predicted offsets (FCIS section 3.4).

    Returns:
        A dict:
            rois: [N, R, 4] float32 (ymin, xmin, ymax, xmax), in pixels of `images`; of both passes.
            rois_valid: [N, R] bool; False is padding.
            class_probs: [N, R, C + 1] float32, the background first.
            mask_probs: [N, R, P, P] float32, the probability of each cell of a region to be inside the instance. It is
                that of the most probable foreground class; if the region is kept for several classes, the mask serves
                all of them, as in the paper's authors' code.
    """
    outputs = model(images, image_sizes, second_pass=second_pass, training=False)
    outside, inside = tf.unstack(outputs["mask_logits"], axis=-1)
    return {
        "rois": outputs["rois"],
        "rois_valid": outputs["rois_valid"],
        "class_probs": tf.nn.softmax(outputs["class_logits"]),
        "mask_probs": tf.sigmoid(inside - outside),
    }
