"""The evaluate stage: a network, scored on folds of a store; its report."""
