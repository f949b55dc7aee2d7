"""The directory that holds a training run: configuration, classes, checkpoints, curves."""

import dataclasses
import json
from pathlib import Path

import keras
import tensorflow as tf

from fcis_tf.checkpoints import CheckpointWriter, find_checkpoint, has_checkpoints, restore
from fcis_tf.compatibility import (
    check_finds_instances,
    check_plain_use,
    check_same_classes,
    check_same_mask_size,
    check_same_model,
    with_network_of,
)
from fcis_tf.config import Config, load_config, save_config
from fcis_tf.errors import UserError
from fcis_tf.json_file import write_json
from fcis_tf.models import FCIS, InstanceFCN

CONFIG_FILE = "config.yaml"
CLASSES_FILE = "classes.json"


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A network with its weights and all that is needed to use it.

    Attributes:
        model: FCIS or InstanceFCN.
        config: the Config to use it with; that which it was trained with, unless another was asked for.
        class_names: of labels 1 to C.
        category_ids: of labels 1 to C, in the annotations that it was trained on.
        step: the training step that the weights are from.
    """

    model: FCIS | InstanceFCN
    config: Config
    class_names: list
    category_ids: list
    step: int


def build_model(config, num_classes):
    """Makes an FCIS, or an InstanceFCN, with all its variables created, at random.

    Args:
        config: a Config.
        num_classes: C, without the background; InstanceFCN knows none.
    """
    if config.model.head == "instance_fcn":
        model = InstanceFCN(config.model, name="fcis")
    else:
        model = FCIS(config.model, num_classes, name="fcis")
    model(tf.zeros([1, 64, 64, 3]))
    return model


def check_before_training(model_dir, config, source, resume):
    """Checks that a run can begin, or that of a model directory go on; writes nothing.

    Args:
        model_dir: the directory; it may be missing.
        config: the Config to train with.
        source: the training data set.
        resume: whether to continue a run that is there.

    Raises:
        UserError: there is a run that must not be continued, or one of another network or other classes.
    """
    model_dir = Path(model_dir)
    if not has_checkpoints(model_dir):
        return
    if not resume:
        raise UserError(f"--model-dir {model_dir}: holds checkpoints; name another, or leave out --no-resume")
    names, _ = read_classes(model_dir)
    check_same_model(config, read_config(model_dir), model_dir)
    check_same_classes(source.class_names, source.name, names, f"the network in {model_dir}")


def describe_run(model_dir, config, class_names, category_ids):
    """Writes down what the checkpoints of a model directory are of.

    Args:
        model_dir: created where it is missing.
        config: the Config to train with.
        class_names: of labels 1 to C.
        category_ids: of labels 1 to C, in the annotations.

    Raises:
        UserError: the directory cannot be made, or a file in it cannot be written.
    """
    model_dir = Path(model_dir)
    try:
        model_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--model-dir {model_dir}: cannot make this directory: {error.strerror}") from None
    save_config(config, model_dir / CONFIG_FILE)
    write_json({"names": class_names, "category_ids": category_ids}, model_dir / CLASSES_FILE)


def save_network(model, model_dir):
    """Writes a network that was not trained here, as of step 0, into a model directory that `describe_run` made.

    Args:
        model: FCIS.
        model_dir: the directory.

    Raises:
        UserError: it cannot be written.
    """
    step = tf.Variable(0, dtype=tf.int64)
    with CheckpointWriter(model, keras.optimizers.SGD(), step, model_dir, keep=1) as checkpoints:
        checkpoints.save()


def read_config(model_dir, overrides=(), option="--model-dir"):
    """Reads the Config that the network of a model directory was trained with.

    Args:
        model_dir: a directory that train.py wrote.
        overrides: of single values, as `load_config` takes them.
        option: which option of the command line named the directory, for the message.

    Raises:
        UserError: there is no such directory, or no configuration that can be read; the message names it.
    """
    model_dir = Path(model_dir)
    if not model_dir.is_dir():
        raise UserError(f"{option} {model_dir}: no such directory; train.py makes one")
    return load_config(model_dir / CONFIG_FILE, overrides)


def read_classes(model_dir):
    """Reads which classes the network of a model directory knows.

    Args:
        model_dir: a directory that train.py wrote.

    Returns:
        (names of labels 1 to C, their category ids in the annotations).

    Raises:
        UserError: the file of classes is missing or damaged.
    """
    path = Path(model_dir) / CLASSES_FILE
    try:
        classes = json.loads(path.read_text())
        return list(classes["names"]), list(classes["category_ids"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{path}: missing or damaged; train.py writes it beside the checkpoints") from None


def load_trained(model_dir, config=None, option="--model-dir"):
    """Loads the newest weights of a model directory that are whole, see `find_checkpoint`.

    Args:
        model_dir: a directory that train.py wrote.
        config: the Config to use the network with; None for that which it was trained with.
        option: which option of the command line named the directory, for the message.

    Returns:
        A TrainedModel.

    Raises:
        UserError: something is missing, damaged, or does not fit together; the message names it.
    """
    model_dir = Path(model_dir)
    trained_config = read_config(model_dir, option=option)
    config = config or trained_config
    check_same_model(config, trained_config, model_dir)
    names, category_ids = read_classes(model_dir)
    path = find_checkpoint(model_dir)
    if path is None:
        raise UserError(f"{option} {model_dir}: no checkpoint there yet; train.py writes them")
    model = build_model(config, len(names))
    step = tf.Variable(0, dtype=tf.int64)
    restore(path, model, step)
    return TrainedModel(model, config, names, category_ids, int(step.numpy()))


def load_ensemble(model_dirs, config, mask_proposals=None):
    """Loads the newest weights of one model directory or of several, to be used together.

    Of several each network is built as its own directory says, whatever `config` says of it; the rest of the section
    `model`, such as the number of proposals, is that of `config` for all.

    Args:
        model_dirs: a list of directories that train.py wrote.
        config: the Config to use the networks with. For a single directory it has to describe its network.
        mask_proposals: a directory with the InstanceFCN whose masks an R-FCN classifies, or None.

    Returns:
        A list of TrainedModel.

    Raises:
        UserError: a directory comes twice, something is missing, damaged, or does not fit together; the message names
            it.
    """
    trained_configs = [read_config(model_dir) for model_dir in model_dirs]
    for model_dir, trained_config in zip(model_dirs, trained_configs, strict=True):
        check_finds_instances(trained_config, model_dir, mask_proposals)
    if mask_proposals is not None:
        check_plain_use(config.inference, len(model_dirs), mask_proposals)
    if len(model_dirs) == 1:
        return [load_trained(model_dirs[0], config)]
    first_dir, first_config = model_dirs[0], trained_configs[0]
    first_names, _ = read_classes(Path(first_dir))
    resolved = [Path(model_dir).resolve() for model_dir in model_dirs]
    for i, (model_dir, trained_config) in enumerate(zip(model_dirs, trained_configs, strict=True)):
        if resolved[i] in resolved[:i]:
            raise UserError(f"--model-dir {model_dir}: this directory is named twice")
        names, _ = read_classes(Path(model_dir))
        check_same_classes(names, f"--model-dir {model_dir}", first_names, f"the network in {first_dir}")
        check_same_mask_size(trained_config, model_dir, first_config, first_dir)
    return [
        load_trained(model_dir, with_network_of(config, trained_config))
        for model_dir, trained_config in zip(model_dirs, trained_configs, strict=True)
    ]


def load_mask_proposals(model_dir, config=None):
    """Loads the newest weights of an InstanceFCN.

    Args:
        model_dir: a directory that train.py wrote.
        config: the Config to use it with; None for that which it was trained with.

    Returns:
        A TrainedModel.

    Raises:
        UserError: see `load_trained`; or it holds another network.
    """
    head = read_config(model_dir, option="--mask-proposals").model.head
    if head != "instance_fcn":
        raise UserError(f"--mask-proposals {model_dir}: expected a network with model.head: instance_fcn, found {head}")
    return load_trained(model_dir, config, option="--mask-proposals")
