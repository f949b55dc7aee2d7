"""FCIS, fully convolutional instance-aware semantic segmentation, in TensorFlow and Keras."""


def load_model(model_dir):
    """Loads a trained or converted network.

    Args:
        model_dir: a directory that train.py or fcis_tf.convert wrote.

    Returns:
        A fcis_tf.model_directory.TrainedModel: the network, its configuration and its classes.

    Raises:
        fcis_tf.errors.UserError: something is missing, damaged, or does not fit together.
    """
    # TensorFlow takes seconds to import: `import fcis_tf` alone shall not.
    from fcis_tf.model_directory import load_trained

    return load_trained(model_dir)
