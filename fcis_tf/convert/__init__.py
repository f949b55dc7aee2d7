"""Weights from elsewhere: the authors' MXNet models, ChainerCV's, Keras's."""
