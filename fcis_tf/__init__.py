"""FCIS, fully convolutional instance-aware semantic segmentation, in TensorFlow and Keras."""

import os

# TensorFlow reads it when it is imported: 3 silences its notes on the machine, of which failures are raised anyway.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


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
