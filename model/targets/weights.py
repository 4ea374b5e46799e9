"""Weights of classes and labels by how often they occur: rare ones weigh more."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def class_weights(counts: ArrayLike, power: float) -> NDArray[np.float32] | None:
    """Weight of a sample by its class: count ** -power, 1 on average over the samples.

    Args:
        counts: (K,) windows, or samples, of each class in the training folds.
        power: 0 weighs nothing, 1 balances the classes.

    Returns:
        float32 (K,), 0 for a class without windows; None when `power` is 0.
    """
    if power == 0:
        return None
    counts = np.asarray(counts, np.int64)
    present = counts > 0
    weights = np.where(present, np.where(present, counts, 1).astype(np.float64) ** -power, 0.0)
    return np.asarray(weights * counts.sum() / (weights * counts).sum(), np.float32)


def label_weights(counts: ArrayLike, windows: int, power: float) -> NDArray[np.float32] | None:
    """Weight of each label where it is absent and where it is there.

    Args:
        counts: (K,) windows that have each label.
        windows: in all.
        power: 0 weighs nothing, 1 lets both cases of a label weigh alike.

    Returns:
        float32 (2, K); for each label 1 on average over the windows. None when `power` is 0.
    """
    if power == 0:
        return None
    there = np.asarray(counts, np.int64)
    weights = np.zeros((2, len(there)), np.float32)
    for column, pair in enumerate(np.stack([windows - there, there], axis=1)):
        weights[:, column] = class_weights(pair, power)
    return weights
