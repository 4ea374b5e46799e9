"""How far scores would move with other people or machines: the bootstrap over groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

REPLICATES = 2000
LEVEL = 0.95
LEAST_GROUPS = 6
"""Below, no difference can be told from chance: that all of 5 groups move the same way has a
probability of 2/32, which is above 1 in 20 (the sign test)."""
Scores = Callable[[NDArray[np.float64]], NDArray[np.float64]]
_BLOCK = 200
"""Draws at a time, which bounds memory for many classes."""


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
    flat = counts.reshape(groups, counts[0].size) if groups else counts

    def scores(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        return confusion_scores(drawn.reshape(len(drawn), *counts.shape[1:]))

    return drawn_intervals(flat, scores, ("accuracy", "macro_f1", "balanced_accuracy"), seed)


def drawn_intervals(
    sums: ArrayLike,
    scores: Scores,
    names: Sequence[str],
    seed: int = 0,
    block: int = _BLOCK,
) -> dict[str, list[float]]:
    """95 % intervals of scores that follow from sums over groups, by the same bootstrap.

    Args:
        sums: (G, m) of each group that has windows.
        scores: function of sums (n, m) over n draws of groups: their scores (n, len(names)).
        names: of the scores.
        seed: of the bootstrap.
        block: draws at a time, which bounds memory.

    Returns:
        Name -> [low, high]; empty for fewer than two groups.
    """
    flat = np.asarray(sums).astype(np.float64)
    groups = len(flat)
    if groups < 2:
        return {}
    rng = np.random.default_rng(seed)
    found = []
    for first in range(0, REPLICATES, block):
        drawn = min(block, REPLICATES - first)
        times = rng.multinomial(groups, np.full(groups, 1 / groups), size=drawn)
        found.append(scores(times @ flat))
    edges = (100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2)
    low, high = np.percentile(np.concatenate(found), edges, axis=0)
    return {name: [float(a), float(b)] for name, a, b in zip(names, low, high, strict=True)}


def confusion_scores(counts: NDArray[np.float64]) -> NDArray[np.float64]:
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

    Where a classifier was trained more than once, from other seeds, its trainings are drawn anew
    as the groups are, so that the interval holds the chance of training too.

    Args:
        windows: (G,) of each group.
        right: (G,) that the one labels rightly, or (S, G) of each of its trainings.
        other_right: the same of the other, (G,) or (S', G).
        seed: of the bootstrap, which draws a group for both alike.

    Returns:
        The mean difference, and its 95 % interval [low, high]; None for fewer than two groups.
    """
    total = np.asarray(windows, np.float64)
    one, other = (np.atleast_2d(np.asarray(each, np.float64)) for each in (right, other_right))
    value = float((other.mean(axis=0) - one.mean(axis=0)).sum() / max(total.sum(), 1))
    groups = len(total)
    if groups < 2:
        return value, None
    rng = np.random.default_rng(seed)
    times = rng.multinomial(groups, np.full(groups, 1 / groups), size=REPLICATES)
    gain = _drawn_means(other, rng) - _drawn_means(one, rng)
    drawn = (times * gain).sum(axis=1) / np.maximum(times @ total, 1)
    low, high = np.percentile(drawn, (100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2))
    return value, [float(low), float(high)]


def _drawn_means(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """(REPLICATES, G) means of (S, G) over as many of its rows, drawn with replacement."""
    trainings = len(values)
    drawn = rng.multinomial(trainings, np.full(trainings, 1 / trainings), size=REPLICATES)
    return drawn @ values / trainings
