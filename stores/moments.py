"""Count, mean and sum of squared deviations of columns: computed in parts, merged exactly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Moments:
    """First two moments of D columns.

    Attributes:
        count: values seen in each column.
        mean: (D,) float64.
        m2: (D,) float64, sum of squared deviations from the mean.
    """

    count: int
    mean: NDArray[np.float64]
    m2: NDArray[np.float64]

    @property
    def std(self) -> NDArray[np.float64]:
        """(D,) standard deviations, ddof 0."""
        return np.sqrt(self.m2 / max(self.count, 1))

    def merge(self, other: Moments) -> Moments:
        """Moments of both sets together (Chan, Golub and LeVeque 1979)."""
        if self.count == 0:
            return other
        if other.count == 0:
            return self
        count = self.count + other.count
        delta = other.mean - self.mean
        share = other.count / count
        return Moments(
            count,
            self.mean + delta * share,
            self.m2 + other.m2 + delta * delta * (self.count * share),
        )


def empty_moments(columns: int) -> Moments:
    """Moments of no values."""
    return Moments(0, np.zeros(columns), np.zeros(columns))


def merge_all(parts: Iterable[Moments], columns: int) -> Moments:
    """Merge in the given order, from the left: the same order gives the same bits."""
    return reduce(Moments.merge, parts, empty_moments(columns))


def column_moments(values: NDArray[Any]) -> Moments:
    """Moments of the columns of `values` (n, D), real; two passes in float64.

    A copy in float64 is made: give it rows that fit the processor's cache.
    """
    count, columns = values.shape
    if count == 0:
        return empty_moments(columns)
    wide = values.astype(np.float64)
    mean = wide.sum(axis=0) / count
    wide -= mean
    return Moments(count, mean, np.square(wide, out=wide).sum(axis=0))


def channel_moments(windows: NDArray[Any]) -> Moments:
    """Moments of each channel of `windows` (n, T, C) over windows and time; columns are channels.

    Each time step is a column of its own first: the sums run along memory, and the T partial
    results of a channel are then merged pairwise, in a fixed order.
    """
    n, time, channels = windows.shape
    flat = column_moments(windows.reshape(n, time * channels))
    mean = flat.mean.reshape(time, channels)
    centre = mean.mean(axis=0)
    spread = np.square(mean - centre).sum(axis=0) * n
    return Moments(n * time, centre, flat.m2.reshape(time, channels).sum(axis=0) + spread)


@dataclass(frozen=True)
class FoldMoments:
    """Moments of some folds together.

    Attributes:
        count: windows.
        raw_mean, raw_std: (C,) float64, in units.
        feature_mean, feature_std: (F,) float64.
        label_mean, label_std: (K,) float64 of a target of K values, in its units; else (0,).
    """

    count: int
    raw_mean: NDArray[np.float64]
    raw_std: NDArray[np.float64]
    feature_mean: NDArray[np.float64]
    feature_std: NDArray[np.float64]
    label_mean: NDArray[np.float64]
    label_std: NDArray[np.float64]
