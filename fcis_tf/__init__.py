"""FCIS, fully convolutional instance-aware semantic segmentation, in TensorFlow and Keras."""
