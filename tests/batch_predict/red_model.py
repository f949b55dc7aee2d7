"""A SavedModel that batch prediction takes for an exported network: it finds the red pixels of an image."""

import json

import tensorflow as tf

from fcis_tf.export import decode_image_bytes

CATEGORY_IDS = [18, 90]
MAX_PIXELS = 10_000


class RedPixels(tf.Module):
    """Finds the pixels with much red, as an instance of class 2 with score 0.75, and all others, of class 1, 0.25."""

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, "image_bytes")])
    def find(self, image_bytes):
        """Finds both in an encoded image."""
        red = decode_image_bytes(image_bytes, 0, MAX_PIXELS)[..., 0] >= 100
        masks = tf.stack([red, ~red])
        kept = tf.reduce_any(masks, axis=[1, 2])
        values = {
            "boxes": tf.map_fn(_box, tf.boolean_mask(masks, kept), fn_output_signature=tf.TensorSpec([4])),
            "classes": tf.boolean_mask([2, 1], kept),
            "scores": tf.boolean_mask([0.75, 0.25], kept),
        }
        return values | {"masks": tf.boolean_mask(masks, kept)}


def export_red_model(directory):
    """Writes the model to a new directory, a pathlib.Path."""
    model = RedPixels()
    tf.saved_model.save(model, str(directory), signatures={"serve_instances": model.find})
    classes = [{"id": i, "name": str(i), "category_id": value} for i, value in enumerate(CATEGORY_IDS, 1)]
    (directory / "assets" / "classes.json").write_text(json.dumps(classes))
    (directory / "assets" / "config.yaml").write_text("export: {native_ops: false}")


def _box(mask):
    places = tf.where(mask)
    return tf.cast(tf.concat([tf.reduce_min(places, axis=0), tf.reduce_max(places, axis=0) + 1], axis=0), tf.float32)
