"""The tricks of the paper's COCO entry (FCIS table 4) that cost time but no training."""

TRICKS_HELP = (
    "Tricks that cost time but no training: --override inference.horizontal_flip=true, "
    "--override 'inference.test_scales=[480, 576, 688, 864, 1200, 1400]', and more networks, each by a --model-dir of "
    "its own."
)


def tricks_in_use(inference_config, num_networks=1):
    """Names what sets the use of networks apart from that of a single one as it is.

    Args:
        inference_config: an InferenceConfig.
        num_networks: how many networks are used together.

    Returns:
        A list of strings such as "inference.horizontal_flip=true"; empty if there is nothing.
    """
    config = inference_config
    tricks = {
        f"{num_networks} networks": num_networks > 1,
        f"inference.test_scales={list(config.test_scales)}": config.test_scales,
        "inference.horizontal_flip=true": config.horizontal_flip,
        f"inference.boxes={config.boxes}": config.boxes != "masks",
    }
    return [name for name, in_use in tricks.items() if in_use]
