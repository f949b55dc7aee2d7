"""From photographs to regions of interest that are scored in several views and averaged."""

import tensorflow as tf

from fcis_tf import boxes
from fcis_tf.data import pad_image, prepare_image
from fcis_tf.inference.view import View


def score_regions_in_views(models, images, config):
    """Scores regions of interest with several networks, at several scales and mirrored too (FCIS table 4).

    A region's class probabilities, mask and predicted offsets are the means of what all networks say of the images
    and, with `inference.horizontal_flip`, of the mirror images; each looks at the scale of `inference.test_scales`
    that suits the region's size. A mask is that of the foreground class which is the most probable on average.

    The regions are the proposals of all networks at the base scale, `data.short_side`, in one list. In the second pass
    a moved region may be looked at in another scale than before.

    Args:
        models: a list of FCIS with the same classes and the same P.
        images: [N, H, W, 3] uint8, RGB.
        config: a Config; see above.

    Returns:
        What `score_regions` returns, in pixels of the images at the base scale.
    """
    base, sizes = _resize(images, config.data.short_side, config.data)
    proposed = [model.propose(pad_image(base), sizes) for model in models]
    views = [
        _look(model, images, base_maps, mirrored, config)
        for model, base_maps in zip(models, proposed, strict=True)
        for mirrored in ((False, True) if config.inference.horizontal_flip else (False,))
    ]
    rois = tf.concat([maps["proposals"] for maps in proposed], axis=1)
    valid = tf.concat([maps["proposals_valid"] for maps in proposed], axis=1)
    regions = {"rois": rois, "rois_valid": valid, **average(views, rois)}
    if config.inference.second_pass:
        moved = boxes.clip(boxes.decode(regions["box_offsets"], rois), sizes)
        again = {"rois": moved, "rois_valid": valid, **average(views, moved)}
        regions = {name: tf.concat([regions[name], again[name]], axis=1) for name in regions}
    return {name: regions[name] for name in ("rois", "rois_valid", "class_probs", "mask_probs")}


def average(views, rois):
    """Averages what views say of regions of interest.

    Args:
        views: a list of View.
        rois: [N, R, 4] float32, as `View.score` takes them.

    Returns:
        A dict like that of `View.score`.
    """
    scored = [view.score(rois) for view in views]
    if len(views) == 1:
        return scored[0]
    class_probs = _mean(scored, "class_probs")
    # Views may differ in the class that they hold to be best; a mean mask has to be of one class.
    labels = 1 + tf.argmax(class_probs[..., 1:], axis=-1, output_type=tf.int32)
    return {
        "class_probs": class_probs,
        "mask_probs": _mean([view.score(rois, labels) for view in views], "mask_probs"),
        "box_offsets": _mean(scored, "box_offsets"),
    }


def _mean(outputs, name):
    return tf.add_n([output[name] for output in outputs]) / len(outputs)


def _look(model, images, base_maps, mirrored, config):
    """Makes a View; `base_maps` are those of the images at the base scale, which need not be computed again."""
    base_scale = config.data.short_side
    all_maps, all_sizes = [], []
    for scale in config.inference.test_scales or (base_scale,):
        resized, sizes = _resize(images, scale, config.data)
        if scale == base_scale and not mirrored:
            maps = base_maps
        else:
            maps = model.compute_maps(pad_image(resized[:, :, ::-1] if mirrored else resized))
        all_maps.append(maps)
        all_sizes.append(sizes[0])
    return View(model, all_maps, all_sizes, base_maps["image_sizes"][0], mirrored)


def _resize(images, short_side, data_config):
    """Returns images [N, h, w, 3], prepared for a network, and their sizes [N, 2]."""
    long_side = short_side * data_config.long_side / data_config.short_side
    resized, _ = prepare_image(images, short_side, long_side)
    return resized, tf.tile(tf.shape(resized)[None, 1:3], [tf.shape(resized)[0], 1])
