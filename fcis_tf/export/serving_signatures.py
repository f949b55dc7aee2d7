"""What a served model can be asked, as graphs."""

import dataclasses
import hashlib

import tensorflow as tf

from fcis_tf.data import pad_image
from fcis_tf.export.canvas_batches import CanvasBatches
from fcis_tf.export.decode_image_bytes import decode_image_bytes
from fcis_tf.export.serving_outputs import serving_output_specs, serving_outputs
from fcis_tf.inference.detect import detect
from fcis_tf.inference.find_detections import find_in_photographs
from fcis_tf.inference.frozen_weights import frozen_weights
from fcis_tf.inference.instances import render_instances
from fcis_tf.inference.score_regions import score_regions
from fcis_tf.ops import use_implementation


@dataclasses.dataclass(frozen=True)
class ServingOptions:
    """What an exported model is like, apart from its network and configuration.

    Attributes:
        mask_size: M, cells of a mask along each side.
        max_pixels: encoded images of more are refused.
        max_batch_size: how many encoded images, of any requests, go through the network at once; 1 for one by one.
        native_ops: whether the graph holds the native operators, which a server must have loaded, in place of stock
            operators.
    """

    mask_size: int = 56
    max_pixels: int = 25_000_000
    max_batch_size: int = 1
    native_ops: bool = False


def serving_signatures(trained, options):
    """Traces the functions that a server calls; the network's weights are constants in them.

    Args:
        trained: a TrainedModel.
        options: ServingOptions.

    Returns:
        {"serving_default": a concrete function of `image_bytes` [B] string,
        "serve_tensor": one of `images` [B, H, W, 3] uint8, RGB,
        "serve_instances": one of `image_bytes` [] string}. The first two return what `serving_output_specs` describes,
        with a leading dimension B; the last, which batch prediction calls, the `Instances` of one image as a dict, with
        masks at the image's own resolution.
    """
    config = trained.config
    specs = serving_output_specs(config.inference.max_detections, options.mask_size)

    # One function for all: the weights are in the graph once. TensorFlow's optimiser, were it to put the function's
    # contents in those of the loop that calls it, would fail to fold their constants.
    @tf.function(
        input_signature=[tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([None, 2], tf.int32)],
        experimental_attributes={"_noinline": True},
    )
    def find_in_padded(images, sizes):
        with frozen_weights(trained.model):
            regions = score_regions(trained.model, images, sizes, config.inference.second_pass)
            return detect(regions, sizes, config.inference)

    def find_in_prepared(images, sizes):
        return find_in_padded(pad_image(images), sizes)

    find_in_one = find_in_prepared
    if options.max_batch_size > 1:
        find_in_one = CanvasBatches(find_in_padded, config.data, options.max_batch_size, _identity(trained))

    def outputs(detections, image_size):
        return serving_outputs(detections, image_size, trained.class_names, options.mask_size, config.inference)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")], autograph=False)
    def serve_image_bytes(image_bytes):
        def decode(numbered):
            index, contents = numbered
            return decode_image_bytes(contents, index, options.max_pixels)

        def serve(numbered):
            image = decode(numbered)
            detections = find_in_photographs(find_in_one, image[None], config.data)
            return outputs({name: values[0] for name, values in detections.items()}, tf.shape(image)[:2])

        image_bytes = _not_empty(image_bytes, "image_bytes: expected one image or more")
        numbered = tf.range(tf.size(image_bytes)), image_bytes
        if options.max_batch_size > 1:
            # A request that fails while one of its images is in a batch ends the whole batch, that of others included.
            sizes = tf.map_fn(lambda x: tf.shape(decode(x)), numbered, fn_output_signature=tf.TensorSpec([3], tf.int32))
            with tf.control_dependencies([sizes]):
                numbered = tuple(tf.identity(values) for values in numbered)
        # Images that are to meet in a batch must be on their way at the same time.
        parallel = options.max_batch_size
        return tf.map_fn(serve, numbered, fn_output_signature=specs, parallel_iterations=parallel)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, "images")], autograph=False)
    def serve_tensor(images):
        images = _not_empty(images, "images: expected one image or more, of one pixel or more")
        image_size = tf.shape(images)[1:3]
        return tf.map_fn(
            lambda detections: outputs(detections, image_size),
            find_in_photographs(find_in_prepared, images, config.data),
            fn_output_signature=specs,
            parallel_iterations=1,
        )

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, "image_bytes")], autograph=False)
    def serve_instances(image_bytes):
        image = decode_image_bytes(image_bytes, 0, options.max_pixels)
        detections = find_in_photographs(find_in_prepared, image[None], config.data)
        detections = {name: values[0] for name, values in detections.items()}
        return render_instances(detections, tf.shape(image)[:2], config.inference)._asdict()

    with use_implementation("native" if options.native_ops else "portable"):
        return {
            "serving_default": serve_image_bytes.get_concrete_function(),
            "serve_tensor": serve_tensor.get_concrete_function(),
            "serve_instances": serve_instances.get_concrete_function(),
        }


def _identity(trained):
    """Returns a name for a network and how it is used, the same for the same ones."""
    digest = hashlib.sha256(trained.config.model_dump_json().encode())
    for variable in trained.model.variables:
        digest.update(variable.numpy())
    return digest.hexdigest()[:16]


def _not_empty(tensor, problem):
    with tf.control_dependencies([tf.debugging.Assert(tf.size(tensor) > 0, [problem])]):
        return tf.identity(tensor)
