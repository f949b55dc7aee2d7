"""The comparisons of the paper's tables 1 to 4, on any data set: `python -m fcis_tf.ablation --help`."""
