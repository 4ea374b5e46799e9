"""Scores of a ranking from histograms: average precision, AUROC, thresholds, and their errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

BINS = 10_000
"""Bins of a probability, evenly spaced in its logit: networks are sure, and crowd at 0 and 1."""
EDGES = expit(np.linspace(-20.0, 20.0, BINS - 1))
"""Lower edges of all bins but the first."""

Counts = NDArray[np.floating] | NDArray[np.integer]


def bins_of(probability: NDArray[np.floating]) -> NDArray[np.int64]:
    """Bin of each probability, the same whatever stands beside it."""
    return np.searchsorted(EDGES, probability.astype(np.float64), side="right")


def average_precision(counts: Counts) -> NDArray[np.float64]:
    """Average precision (...,) of counts (..., 2, B), without and with the label; 0 without any.

    The sum of precision times the step of recall, from the highest bin down, as scikit-learn's:
    rows of one bin are ties.
    """
    there, found, right = _from_above(counts)
    precision = right / np.maximum(found, 1)
    return (there * precision).sum(axis=-1) / np.maximum(right[..., -1], 1)


def average_precision_error(counts: Counts) -> NDArray[np.float64]:
    """At most how far `average_precision` is from that of the scores themselves (...,).

    In a bin those with the label come first at best, and last at worst.
    """
    there, found, right = _from_above(counts)
    absent_above = found - right
    absent = np.diff(absent_above, axis=-1, prepend=0)
    before = right - there
    best = right / np.maximum(right + absent_above - absent, 1)
    worst = (before + (there > 0)) / np.maximum(before + (there > 0) + absent_above, 1)
    precision = right / np.maximum(found, 1)
    off = np.maximum(best - precision, precision - worst) * (absent > 0)
    return (there * off).sum(axis=-1) / np.maximum(right[..., -1], 1)


def auroc(counts: Counts) -> NDArray[np.float64]:
    """Area under the ROC curve (...,) of counts (..., 2, B); 0 where one of both is missing.

    The share of pairs, one without and one with the label, that are ordered rightly; pairs of one
    bin are half right.
    """
    absent, there = np.moveaxis(np.asarray(counts, np.float64), -2, 0)
    below = np.cumsum(absent, axis=-1) - absent / 2
    pairs = absent.sum(axis=-1) * there.sum(axis=-1)
    return (there * below).sum(axis=-1) / np.maximum(pairs, 1)


def auroc_error(counts: Counts) -> NDArray[np.float64]:
    """At most how far `auroc` is from that of the scores themselves (...,)."""
    absent, there = np.moveaxis(np.asarray(counts, np.float64), -2, 0)
    pairs = absent.sum(axis=-1) * there.sum(axis=-1)
    return (absent * there).sum(axis=-1) / 2 / np.maximum(pairs, 1)


def best_threshold(counts: Counts) -> float:
    """The threshold with the largest F1 of counts (2, B); 0.5 without a label.

    Of neighbouring thresholds that are as good, the middle.
    """
    _, found, right = _from_above(counts)
    if not right[-1]:
        return 0.5
    f1 = (2 * right / (found + right[-1]))[::-1]
    best = np.flatnonzero(f1 == f1.max())
    first_run = best[: int((np.diff(best) > 1).argmax()) + 1] if np.any(np.diff(best) > 1) else best
    lowest = int(first_run[len(first_run) // 2])
    return float(EDGES[lowest - 1]) if lowest else 0.0


def curve(counts: Counts, points: int = 64) -> list[list[float]]:
    """Points (recall, precision) of counts (2, B), from the surest down; empty without a label."""
    there, found, right = _from_above(counts)
    if not right[-1]:
        return []
    kept = np.flatnonzero(there)
    chosen = kept[np.unique(np.linspace(0, len(kept) - 1, points).round().astype(int))]
    return np.stack([right / right[-1], right / np.maximum(found, 1)], axis=1)[chosen].tolist()


def _from_above(counts: Counts) -> tuple[NDArray[np.float64], ...]:
    """With the label in each bin, and from it up: all, and those with the label (..., B) each.

    The highest bin comes first.
    """
    absent, there = np.moveaxis(np.asarray(counts, np.float64)[..., ::-1], -2, 0)
    return there, np.cumsum(absent + there, axis=-1), np.cumsum(there, axis=-1)
