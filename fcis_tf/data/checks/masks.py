"""Whether there are masks, and of the right size."""

import numpy as np

from fcis_tf.data.checks.finding import Finding, level_of
from fcis_tf.data.checks.outline import Outline

# Some things are rectangles; but hardly all of a data set.
_MANY_RECTANGLES = 0.5


def check_masks(content, config):
    """Annotations without a mask, or with one that is empty or unreadable."""
    faults = {
        Outline.MISSING: ("no segmentation", "FCIS learns masks: annotate them, or make them from the boxes"),
        Outline.EMPTY: ("a segmentation without an area", "Correct or delete them; they are left out"),
        Outline.UNREADABLE: (
            "a segmentation that is neither polygons [x, y, x, y, ...] nor a run-length encoding",
            "Write lists of x, y in pixels, or size [height, width] and counts as pycocotools has them",
        ),
    }
    for kind, (fault, advice) in faults.items():
        faulty = content.outlined_as(kind)
        if faulty.any():
            yield Finding(
                level_of(faulty.sum(), len(faulty)),
                f"{faulty.sum()} of {len(faulty)} annotations have {fault}",
                advice,
                content.first(faulty),
            )


def check_rectangles(content, config):
    """Masks that are nothing but their boxes."""
    drawn = content.outlined_as(Outline.POLYGONS) | content.outlined_as(Outline.RUNS)
    drawn &= ~content.is_crowd
    rectangles = drawn & np.array([outline.is_rectangle for outline in content.outlines], bool)
    if rectangles.sum() > _MANY_RECTANGLES * drawn.sum():
        yield Finding(
            "warning",
            f"{rectangles.sum()} of {drawn.sum()} masks are rectangles, probably just the boxes",
            "Annotate outlines: a network that learns from rectangles predicts rectangles",
            content.first(rectangles),
        )


def check_mask_sizes(content, config):
    """Run lengths for images of another size than theirs."""
    sizes = [outline.size or (np.nan, np.nan) for outline in content.outlines]
    sizes = np.array(sizes, np.float64).reshape(-1, 2)
    compared = np.isfinite(sizes).all(axis=1) & np.isfinite(content.sizes_of_annotations).all(axis=1)
    differs = compared & (sizes != content.sizes_of_annotations).any(axis=1)
    swapped = differs & (sizes[:, ::-1] == content.sizes_of_annotations).all(axis=1)
    if swapped.any():
        yield Finding(
            level_of(swapped.sum(), compared.sum()),
            f"{swapped.sum()} of {compared.sum()} run-length masks have the size [width, height] of their image",
            "Encode masks [height, width], in Fortran order, as pycocotools.mask.encode takes them, unless the "
            "height and width of images swapped",
            content.first(swapped),
        )
    differs &= ~swapped
    if differs.any():
        i = int(np.argmax(differs))
        found, expected = sizes[i], content.sizes_of_annotations[i]
        yield Finding(
            level_of(differs.sum(), compared.sum()),
            f"{differs.sum()} of {compared.sum()} run-length masks are of another size than their image, "
            f"such as {found[1]:.0f} x {found[0]:.0f} instead of {expected[1]:.0f} x {expected[0]:.0f}",
            "Make them at the size of the image as stored; was it resized after it was annotated, resize them too",
            content.describe(i),
        )


def check_mask_places(content, config):
    """Polygons beyond their image."""
    height, width = content.sizes_of_annotations.T
    xmin, ymin, xmax, ymax = content.mask_boxes.T
    polygons = content.outlined_as(Outline.POLYGONS) & np.isfinite(height) & np.isfinite(width)
    beyond = (xmax > 1.1 * width) | (xmin < -0.1 * width) | (ymax > 1.1 * height) | (ymin < -0.1 * height)
    beyond = polygons & (beyond | (xmin >= width) | (ymin >= height) | (xmax <= 0) | (ymax <= 0))
    if not beyond.any():
        return
    swapped = (xmax[polygons] <= height[polygons] + 1).all() and (ymax[polygons] <= width[polygons] + 1).all()
    yield Finding(
        level_of(beyond.sum(), polygons.sum()),
        f"{beyond.sum()} of {polygons.sum()} polygons reach far beyond their image"
        + ("; all would fit with x and y swapped" if swapped else ""),
        "Write polygons as x, y, x, y, ... in pixels of the image: it may have been resized or turned after they were "
        "drawn",
        content.first(beyond),
    )
