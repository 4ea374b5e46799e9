"""What a run normalises with: moments of raw and features, quantiles of features. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

Scaling = Literal["quantile", "standard"]
Floats = NDArray[np.float32]

SCORE_LIMIT = 3.5
"""Normal scores are clipped here: one row in 4,300 of a normal feature lies outside."""

STANDARD_LIMIT = 10.0
"""Standardised features are clipped here, so that one wild window cannot swamp a batch."""

KNOTS = 101
"""Knots of a feature's quantile map, evenly spaced in normal score: 0.07 apart."""

SEGMENT = 3
"""Columns of a segment of a quantile map."""
SAMPLE_ROWS = 10_000
"""Training rows from which quantiles are estimated; more were not seen to help."""


@dataclass(frozen=True)
class Normaliser:
    """Statistics of the training rows of one run; C channels, F features, Q knots.

    A knot row is ascending and ends in +inf where ties left fewer than Q distinct values.
    """

    raw_mean: Floats
    """(C,) in the units the store holds."""
    raw_scale: Floats
    """(C,) reciprocal standard deviation; 0 for a constant channel, which then reads 0."""
    feature_mean: Floats
    """(F,)"""
    feature_scale: Floats
    """(F,) reciprocal standard deviation; 0 for a constant feature."""
    knots: Floats
    """(F, Q) values of the quantiles; Q = 0 when features are standardised."""
    scores: Floats
    """(F, Q) normal score of each knot, within +-SCORE_LIMIT."""

    @classmethod
    def fit(
        cls,
        raw_mean: ArrayLike,
        raw_std: ArrayLike,
        feature_mean: ArrayLike = (),
        feature_std: ArrayLike = (),
        feature_sample: ArrayLike | None = None,
        scaling: Scaling = "quantile",
    ) -> Normaliser:
        """Build from moments (ddof 0) and, for quantiles, a sample (n, F) of training rows.

        Rows past SAMPLE_ROWS are not used. Raises ValueError when shapes disagree, when a value
        is not finite, or when quantiles are asked for without a sample of at least one row.
        """
        mean, scale = standardisation("raw", raw_mean, raw_std)
        feature_centre, feature_scale = standardisation("feature", feature_mean, feature_std)
        count = len(feature_centre)
        knots = scores = np.zeros((count, 0), np.float32)
        if scaling == "quantile" and count:
            knots, scores = _quantile_map(_checked_sample(feature_sample, count))
        return cls(
            raw_mean=mean,
            raw_scale=scale,
            feature_mean=feature_centre,
            feature_scale=feature_scale,
            knots=knots,
            scores=scores,
        )

    @property
    def scaling(self) -> Scaling:
        """How features are scaled: by quantiles when there are knots."""
        return "quantile" if self.knots.shape[1] else "standard"

    def segments(self) -> Floats:
        """(F, Q + 1, SEGMENT) float32: those that start at -inf and at each knot, the outer level.

        Columns are the value a segment starts at, the score there, and the slope.
        """
        knots, scores = self.knots, self.scores
        with np.errstate(invalid="ignore"):
            gaps = np.diff(knots.astype(np.float64), axis=1)
        real = np.isfinite(gaps)
        slopes = np.where(real, np.diff(scores, axis=1) / np.where(real, gaps, 1.0), 0.0)
        table = np.zeros((len(knots), knots.shape[1] + 1, SEGMENT), np.float32)
        table[:, 1:, 0] = np.where(np.isfinite(knots), knots, 0.0)
        table[:, 1:, 1] = scores
        # Neighbouring subnormal knots would make a slope that float32 cannot hold.
        table[:, 1:-1, 2] = np.minimum(slopes, np.finfo(np.float32).max)
        table[:, 0, :2] = table[:, 1, :2]
        return table


def standardisation(name: str, mean: ArrayLike, std: ArrayLike) -> tuple[Floats, Floats]:
    """Float32 mean and reciprocal deviation (n,) of columns, 0 for a constant one.

    Raises ValueError when shapes disagree or when a value is not finite.
    """
    means, stds = np.asarray(mean, np.float64), np.asarray(std, np.float64)
    if means.ndim != 1 or means.shape != stds.shape:
        raise ValueError(
            f"Mean and std need one value per {name} column, got {means.shape} and {stds.shape}."
        )
    if not (np.isfinite(means).all() and np.isfinite(stds).all() and (stds >= 0).all()):
        raise ValueError(f"A {name} mean or std is not finite or negative: check the moments.")
    return means.astype(np.float32), _reciprocal(means, stds)


def _checked_sample(sample: ArrayLike | None, count: int) -> NDArray[np.float64]:
    if sample is None:
        raise ValueError("Quantiles need a sample of training rows; none was given.")
    rows = np.asarray(sample, np.float64)[:SAMPLE_ROWS]
    if rows.ndim != 2 or rows.shape[0] == 0 or rows.shape[1] != count:
        raise ValueError(f"The sample of features needs shape (n, {count}), got {rows.shape}.")
    if not np.isfinite(rows).all():
        raise ValueError("The sample of features holds a value that is not finite.")
    return rows


def _reciprocal(mean: NDArray[np.float64], std: NDArray[np.float64]) -> Floats:
    # Below this a spread is rounding of a constant held as float32.
    floor = np.maximum(np.abs(mean) * 1e-7, 1e-12)
    spread = std > floor
    return np.where(spread, 1.0 / np.where(spread, std, 1.0), 0.0).astype(np.float32)


def _quantile_map(sample: NDArray[np.float64]) -> tuple[Floats, Floats]:
    """Knots and scores (F, KNOTS) of a sample (n, F).

    Distinct quantiles keep the score of their level. Levels that share a value get the score of
    the middle of their probabilities, so that a feature with many zeros puts them at the centre
    of their own mass, not at its edge.
    """
    level_scores = np.linspace(-SCORE_LIMIT, SCORE_LIMIT, KNOTS)
    levels = ndtr(level_scores)
    values = np.quantile(sample, levels, axis=0).T.astype(np.float32)
    knots = np.full(values.shape, np.inf, np.float32)
    scores = np.zeros(values.shape, np.float32)
    for row, value in enumerate(values):
        distinct, first, count = np.unique(value, return_index=True, return_counts=True)
        middle = ndtri((levels[first] + levels[first + count - 1]) / 2)
        knots[row, : distinct.size] = distinct
        scores[row, : distinct.size] = np.where(count == 1, level_scores[first], middle)
        scores[row, distinct.size :] = scores[row, distinct.size - 1]
    return knots, scores
