"""Batches out of the store, for TensorFlow: read ahead, gathered, augmented."""
