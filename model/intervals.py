"""How far scores would move with other people or machines: the bootstrap over groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

REPLICATES = 2000
LEVEL = 0.95
_BLOCK = 200
"""Replicates at a time, which bounds memory for many classes."""


def group_intervals(confusion: ArrayLike, seed: int = 0) -> dict[str, list[float]]:
    """95 % intervals of the scores of confusion counts (G, K, K), by group, label and prediction.

    The percentile bootstrap of Efron and Tibshirani (1993, chapter 13), drawing whole groups with
    replacement, since windows of one group are alike. With few groups it is too narrow: they are
    all that is known of the others.

    Returns:
        `accuracy`, `macro_f1` and `balanced_accuracy` -> [low, high]; empty for fewer than two
        groups with windows. Classes count as in `model.scores`.
    """
    counts = np.asarray(confusion, np.int64)
    counts = counts[counts.any(axis=(1, 2))]
    groups = len(counts)
    if groups < 2:
        return {}
    rng = np.random.default_rng(seed)
    flat = counts.reshape(groups, -1).astype(np.float64)
    found = []
    for first in range(0, REPLICATES, _BLOCK):
        drawn = min(_BLOCK, REPLICATES - first)
        times = rng.multinomial(groups, np.full(groups, 1 / groups), size=drawn)
        found.append(_scores((times @ flat).reshape(drawn, *counts.shape[1:])))
    edges = (100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2)
    low, high = np.percentile(np.concatenate(found), edges, axis=0)
    names = ("accuracy", "macro_f1", "balanced_accuracy")
    return {name: [float(a), float(b)] for name, a, b in zip(names, low, high, strict=True)}


def _scores(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3) accuracy, macro-F1 and balanced accuracy of counts (n, K, K)."""
    right = np.diagonal(counts, axis1=1, axis2=2)
    labelled, predicted = counts.sum(axis=2), counts.sum(axis=1)
    recall = right / np.maximum(labelled, 1)
    f1 = 2 * right / np.maximum(labelled + predicted, 1)
    seen, there = labelled + predicted > 0, labelled > 0
    return np.stack(
        [
            right.sum(axis=1) / np.maximum(labelled.sum(axis=1), 1),
            (f1 * seen).sum(axis=1) / np.maximum(seen.sum(axis=1), 1),
            (recall * there).sum(axis=1) / np.maximum(there.sum(axis=1), 1),
        ],
        axis=1,
    )


def paired_accuracy(
    windows: ArrayLike, right: ArrayLike, other_right: ArrayLike, seed: int = 0
) -> tuple[float, list[float] | None]:
    """Accuracy of another classifier less that of one, on the same windows of the same groups.

    Args:
        windows: (G,) of each group.
        right: (G,) that the one labels rightly.
        other_right: (G,) that the other does.
        seed: of the bootstrap, which draws a group for both alike.

    Returns:
        The difference, and its 95 % interval [low, high]; None for fewer than two groups.
    """
    total = np.asarray(windows, np.float64)
    gain = np.asarray(other_right, np.float64) - np.asarray(right, np.float64)
    value = float(gain.sum() / max(total.sum(), 1))
    groups = len(total)
    if groups < 2:
        return value, None
    rng = np.random.default_rng(seed)
    times = rng.multinomial(groups, np.full(groups, 1 / groups), size=REPLICATES)
    drawn = (times @ gain) / np.maximum(times @ total, 1)
    low, high = np.percentile(drawn, (100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2))
    return value, [float(low), float(high)]
