"""An exported network, as batch prediction uses it."""

import json
import re

import tensorflow as tf
import yaml
from tensorflow.core.protobuf import saved_model_pb2

from fcis_tf.batch_predict.image_reference import BadImage
from fcis_tf.errors import UserError
from fcis_tf.inference import Instances
from fcis_tf.ops.native import reason_for_absence

SIGNATURE = "serve_instances"


def describe_model(directory):
    """Checks an exported network without loading it.

    Args:
        directory: of the SavedModel, a string: of this machine, or a URL that TensorFlow knows.

    Returns:
        A dict ready for JSON, which is another one for another network or other classes.

    Raises:
        UserError: it is none that batch prediction can use; the message says why.
    """
    try:
        model = saved_model_pb2.SavedModel.FromString(_read(directory, "saved_model.pb"))
        signatures = model.meta_graphs[0].signature_def
        checksum = tf.saved_model.experimental.read_fingerprint(directory).saved_model_checksum
        category_ids = read_category_ids(directory)
        native_ops = yaml.safe_load(_read(directory, "assets/config.yaml"))["export"]["native_ops"]
    except (tf.errors.OpError, OSError):
        problem = "there is none, or it cannot be read"
    except Exception:  # Whatever a file that is damaged makes its parser raise.
        problem = "it is damaged"
    else:
        problem = None if SIGNATURE in signatures else f"it has no signature {SIGNATURE}; export it again"
    if problem:
        raise UserError(
            f"--model {directory}: expected a SavedModel of export_savedmodel.py, such as models/fcis/1; {problem}"
        )
    if native_ops and reason_for_absence():
        raise UserError(f"--model {directory}: needs the native operators, but {reason_for_absence()}")
    return {"checksum": f"{checksum:016x}", "category_ids": category_ids}


def read_category_ids(directory):
    """Returns the list of COCO's ids of an exported network's classes; class i + 1 is the i-th."""
    return [entry["category_id"] for entry in json.loads(_read(directory, "assets/classes.json"))]


def _read(directory, name):
    with tf.io.gfile.GFile(f"{directory}/{name}", "rb") as file:
        return file.read()


class SavedDetector:
    """Finds the instances in image files with an exported network; threads may share it."""

    def __init__(self, directory):
        """Loads the network.

        Args:
            directory: that of a SavedModel which `describe_model` accepts.
        """
        # A network that was exported with the native operators needs them registered, which asking does.
        reason_for_absence()
        self.category_ids = read_category_ids(directory)
        # A function alone would not keep alive what it uses.
        self._model = tf.saved_model.load(directory)

    def find(self, contents):
        """Finds the instances in an image file.

        Args:
            contents: bytes, as `servable_file` returns them.

        Returns:
            Instances of NumPy arrays.

        Raises:
            BadImage: it cannot be decoded or is too large; the message says which.
        """
        try:
            outputs = self._model.signatures[SIGNATURE](image_bytes=tf.constant(contents))
        except tf.errors.InvalidArgumentError as error:
            problem = re.search(r"\[image_bytes\[0\]: (.*)\]", error.message)
            if not problem:
                raise
            # The model itself cannot, but `servable_file` gives it WebP as PNG.
            raise BadImage(problem[1].replace("GIF or BMP", "GIF, BMP or WebP")) from None
        except tf.errors.ResourceExhaustedError:
            raise BadImage("an image that needs more memory than there is") from None
        return Instances(**{name: values.numpy() for name, values in outputs.items()})
