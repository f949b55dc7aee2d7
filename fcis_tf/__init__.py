"""FCIS, fully convolutional instance-aware semantic segmentation, in TensorFlow and Keras."""

import os

# TensorFlow reads it when it is imported: 3 silences its notes on the machine, of which failures are raised anyway.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
