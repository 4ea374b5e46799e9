"""Which rows, in which order: splits, epochs, samplings, statistics. NumPy only."""
