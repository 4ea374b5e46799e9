"""Augmentations of training batches, one file each; declared without TensorFlow."""
