"""Prediction on more images than one machine has hours for, as an Apache Beam pipeline."""
