"""ImageNet weights of keras.applications' ResNet-50, -101 and -152, for our trunk."""

import shutil
import tempfile
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np

from fcis_tf.convert.source_arrays import SourceArrays
from fcis_tf.convert.trunk_layers import TrunkArrays, trunk_values
from fcis_tf.convert.weight_file import check_weight_file
from fcis_tf.errors import UserError

NETWORKS = {
    "resnet50": keras.applications.ResNet50,
    "resnet101": keras.applications.ResNet101,
    "resnet152": keras.applications.ResNet152,
}
SUFFIXES = (".h5", ".keras")

_EPSILON = 1.001e-5
# Kernels are (height, width, in, out), as ours.
_KERNEL_AXES = (0, 1, 2, 3)
_PARTS = {"projection": 0, "a": 1, "b": 2, "c": 3}
_CLASSIFIER = "predictions/"
# ResNet-152 has fewer layers.
_MOST_NAMES = 1000


def keras_trunk_values(model, config, path=None):
    """Takes the weights of a trunk from keras.applications.

    Args:
        model: FCIS, built.
        config: its ModelConfig.
        path: of a file of weights or of a whole network, .h5, .weights.h5 or .keras; None for the weights that Keras
            publishes, which are downloaded once, to its cache, and checked.

    Returns:
        A dict from paths of variables to NumPy arrays.

    Raises:
        UserError: the trunk is none of Keras's, or the file cannot be read or is of another network.
    """
    where = path or "imagenet"
    if config.backbone not in NETWORKS:
        raise UserError(f"init: {where}: Keras has no weights of {config.backbone}; expected {', '.join(NETWORKS)}")
    if config.stem_padding != "both":
        raise UserError(f"init: {where}: Keras's weights were trained with model.stem_padding: both; set it so")
    network = _published(config.backbone) if path is None else _from_file(config.backbone, Path(path))
    arrays = {f"{layer.name}/{weight.name}": weight.numpy() for layer in network.layers for weight in layer.weights}
    arrays["conv1_conv/kernel"] = arrays["conv1_conv/kernel"][:, :, ::-1]
    source = SourceArrays({name: values for name, values in arrays.items() if not name.startswith(_CLASSIFIER)}, where)
    return trunk_values(model, source, _names, _KERNEL_AXES, _EPSILON)


def _names(layer):
    stem = layer.stage == 1
    number = "" if stem else f"block{layer.block}_{_PARTS[layer.part]}_"
    place = f"conv{layer.stage}_{number}"
    return TrunkArrays(
        kernel=f"{place}conv/kernel",
        bias=f"{place}conv/bias",
        gamma=f"{place}bn/gamma",
        beta=f"{place}bn/beta",
        mean=f"{place}bn/moving_mean",
        variance=f"{place}bn/moving_variance",
    )


def _published(backbone):
    try:
        return NETWORKS[backbone](include_top=False, weights="imagenet")
    except Exception as error:
        # Without a connection Keras raises a plain Exception.
        reason = " ".join(str(error).split())
        raise UserError(
            f"init: imagenet: cannot download Keras's weights of {backbone}: {reason}; name a local file instead"
        ) from None


def _from_file(backbone, path):
    check_weight_file(path)
    try:
        return _from_archive(backbone, path) if path.suffix == ".keras" else _from_hdf5(backbone, path)
    except Exception as error:
        # Of a forged file HDF5 and Keras raise whatever they run into.
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"init: {path}: not Keras's weights of {backbone} that can be read: {reason}") from None


def _from_archive(backbone, path):
    """Reads the weights alone of a .keras file: its configuration could name any layer."""
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
        member = archive.getinfo("model.weights.h5")
        if member.file_size > path.stat().st_size:
            raise ValueError(f"it announces {member.file_size} bytes of weights, more than it has")
        weights = Path(folder) / "model.weights.h5"
        with archive.open(member) as file, open(weights, "wb") as copy:
            shutil.copyfileobj(file, copy)
        return _from_hdf5(backbone, weights)


def _from_hdf5(backbone, path):
    has_classifier = _check_hdf5(path)
    network = NETWORKS[backbone](include_top=has_classifier, weights=None)
    network.load_weights(path)
    return network


def _check_hdf5(path):
    """Checks that a file announces no more than it has, itself; returns whether it has ImageNet's classifier."""
    with h5py.File(path) as file:
        links, names = {}, []
        file.visititems_links(links.__setitem__)
        elsewhere = [name for name, link in links.items() if not isinstance(link, h5py.HardLink)]
        if elsewhere:
            raise ValueError(f"{elsewhere[0]} is a link to another place")
        file.visit(names.append)
        items = [file, *(file[name] for name in names)]
        # Keras reads what lists of names in attributes name, as often as they name it.
        most = max(np.size(value) for item in items for value in [0, *item.attrs.values()])
        if most > _MOST_NAMES:
            raise ValueError(f"it has a list of {most} names")
        datasets = [item for item in items if isinstance(item, h5py.Dataset)]
        for dataset in datasets:
            if dataset.external or dataset.is_virtual:
                raise ValueError(f"{dataset.name} is kept in another file")
            if dataset.dtype.kind in "fiu" and dataset.nbytes > path.stat().st_size:
                raise ValueError(f"{dataset.name} announces {dataset.nbytes} bytes, more than the file has")
        return (2048, 1000) in [dataset.shape for dataset in datasets]
