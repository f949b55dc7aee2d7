"""Data sets in TFRecord files of Model Garden's layout: writing them, and reading their records in any order."""
