"""Whether a configuration, a data set and other networks go with a trained network."""

from fcis_tf.errors import UserError
from fcis_tf.models import HEADS

# The keys of the section `model` that give the weights their shapes or their meaning.
_NETWORK_KEYS = (
    "head",
    "backbone",
    "anchor_scales",
    "anchor_ratios",
    "round_anchors",
    "stem_padding",
    "round_rois",
    "rpn_channels",
    "head_channels",
    "group_size",
    "pooled_size",
    "window",
    "box_target_stds",
)


def check_same_model(config, trained_config, model_dir):
    """Checks that a configuration describes the network of a model directory.

    The rest of the section `model`, such as the number of proposals, says how a network is trained or used; it may
    change from one run to the next.

    Args:
        config: a Config.
        trained_config: the Config of the model directory.
        model_dir: the model directory, for the message.

    Raises:
        UserError: they differ in the network; the message names the first key that does.
    """
    for key in _NETWORK_KEYS:
        value, trained_value = getattr(config.model, key), getattr(trained_config.model, key)
        if value != trained_value:
            raise UserError(f"model.{key} is {value}, but {trained_value} in the network in {model_dir}")


def with_network_of(config, trained_config):
    """Returns a Config that differs from `config` in the network alone, which is that of `trained_config`."""
    network = {key: getattr(trained_config.model, key) for key in _NETWORK_KEYS}
    return config.model_copy(update={"model": config.model.model_copy(update=network)})


def finds_instances(model_config):
    """Returns whether a network finds instances by itself; R-FCN and InstanceFCN do so only together."""
    return model_config.head not in ("rfcn", "instance_fcn")


def check_finds_instances(config, model_dir, mask_proposals=None):
    """Checks that a network finds instances, by itself or together with one that proposes masks.

    Args:
        config: the Config of the network.
        model_dir: its model directory, for the message.
        mask_proposals: the directory of an InstanceFCN, or None.

    Raises:
        UserError: it does not.
    """
    head = config.model.head
    if head == "instance_fcn":
        raise UserError(
            f"--model-dir {model_dir}: holds an InstanceFCN, whose masks have no classes; name that of an R-FCN, and "
            "this one as --mask-proposals"
        )
    if head == "rfcn" and mask_proposals is None:
        raise UserError(
            f"--model-dir {model_dir}: holds an R-FCN, which has no masks; name an InstanceFCN's directory as "
            "--mask-proposals with evaluate.py or predict.py"
        )
    if head != "rfcn" and mask_proposals is not None:
        raise UserError(
            f"--mask-proposals {mask_proposals}: only R-FCN classifies the masks of another network, but model.head is "
            f"{head} in {model_dir}"
        )


def check_plain_use(inference_config, num_networks, mask_proposals):
    """Checks that masks are to be classified by one network that sees each image once, as it is.

    Args:
        inference_config: an InferenceConfig.
        num_networks: how many are to classify them.
        mask_proposals: the directory of the InstanceFCN that proposes them, for the message.

    Raises:
        UserError: they are not.
    """
    if num_networks > 1 or inference_config.test_scales or inference_config.horizontal_flip:
        raise UserError(
            f"--mask-proposals {mask_proposals}: expected one R-FCN, without inference.test_scales and "
            "inference.horizontal_flip; the pyramid of the proposals is that of their own configuration"
        )


def check_same_mask_size(config, model_dir, other_config, other_dir):
    """Checks that the masks of two networks have the same number of cells, as those that are averaged must.

    Args:
        config, other_config: the Configs of the networks.
        model_dir, other_dir: their model directories, for the message.

    Raises:
        UserError: they differ.
    """
    size, other_size = (HEADS[each.model.head].mask_size_of(each.model) for each in (config, other_config))
    if size != other_size:
        raise UserError(
            f"--model-dir {model_dir}: its masks cannot be averaged with those of {other_dir}, "
            f"which are of {other_size} x {other_size} cells, not {size} x {size} (model.pooled_size or model.head)"
        )


def check_same_classes(class_names, where, other_class_names, other):
    """Checks that two lists of classes are the same, in the same order.

    Args:
        class_names: of a data set.
        where: where the data set stands ("data.eval"), for the message.
        other_class_names: what they should be.
        other: whose they are ("the network in runs/coco"), for the message.

    Raises:
        UserError: they differ; the message names the first difference.
    """
    if len(class_names) != len(other_class_names):
        raise UserError(f"{where}: has {len(class_names)} classes, but {other} has {len(other_class_names)}")
    for label, (name, other_name) in enumerate(zip(class_names, other_class_names, strict=True), start=1):
        if name != other_name:
            raise UserError(f"{where}: class {label} is '{name}', but '{other_name}' in {other}")
