"""Moments and order statistics of a signal, and the centred copy that other kernels read."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.compiled.kernels import kernel
from headrace.pipeline.catalogue.plan import LEAD
from headrace.pipeline.catalogue.registry import SIGNAL_POSITION as _AT

MEAN: Final = _AT["mean"]
STD: Final = _AT["std"]
MIN: Final = _AT["min"]
MAX: Final = _AT["max"]
MEDIAN: Final = _AT["median"]
MAD: Final = _AT["mad"]
IQR: Final = _AT["iqr"]
RMS: Final = _AT["rms"]
SKEWNESS: Final = _AT["skewness"]
KURTOSIS: Final = _AT["kurtosis"]
PEAK_TO_PEAK: Final = _AT["peak_to_peak"]

_LEAST_EXPONENT: Final = -1000


@kernel
def extremes(
    patterns: NDArray[np.int32] | NDArray[np.int64],
    largest: np.int32 | np.int64,
    limits: NDArray[np.int32] | NDArray[np.int64],
) -> None:
    """Write the bits of the smallest and the largest float of each row.

    Bits of floats are ordered like floats once those of negative ones are flipped, all but the
    sign. Minima of integers are vectorised here and those of floats are not: a third of the time.

    Args:
        patterns: (signals, time) the bits of floats as signed integers.
        largest: The largest such integer.
        limits: (signals, 2) written.
    """
    for s in range(patterns.shape[0]):
        row = patterns[s]
        low = row[0] if row[0] >= 0 else row[0] ^ largest
        high = low
        for t in range(row.size):
            key = row[t] if row[t] >= 0 else row[t] ^ largest
            low = min(low, key)
            high = max(high, key)
        limits[s, 0] = low if low >= 0 else low ^ largest
        limits[s, 1] = high if high >= 0 else high ^ largest


@kernel
def moments(
    rows: NDArray[np.float32] | NDArray[np.float64],
    limits: NDArray[np.float32] | NDArray[np.float64],
    centred: NDArray[np.float32],
    scale: NDArray[np.float64],
    energy: NDArray[np.float64],
    table: NDArray[np.float64],
) -> None:
    """Write the moments of each row, and the row less its mean, scaled into [-1, 1].

    The scale is a power of two, so it rounds nothing, and no later float32 product overflows or
    underflows, whatever the unit. Sums run in float64: with a mean of 1e6 and a deviation of 1
    float32 sums would keep no correct digit.

    Args:
        rows: (signals, time) as measured.
        limits: (signals, 2) smallest and largest value of each.
        centred: (signals, >= LEAD + time) written from LEAD on: (x - mean) / scale. A constant
            row gives exact zeros.
        scale: (signals,) written: the power of two.
        energy: (signals,) written: the sum of the squares of ``centred``.
        table: (signals, 27) written at the moment columns.
    """
    time = rows.shape[1]
    for s in range(rows.shape[0]):
        row = rows[s]
        out = centred[s, LEAD : LEAD + time]
        low = np.float64(limits[s, 0])
        high = np.float64(limits[s, 1])
        total = 0.0
        for t in range(time):
            total += row[t]
        # Clamped, so that the rounding of a sum cannot move a constant off its level.
        mean = min(max(total / time, low), high)
        exponent = max(math.frexp(max(high - mean, mean - low))[1], _LEAST_EXPONENT)
        unit = math.ldexp(1.0, exponent)
        # Deviations that small count as none: squares of their powers would leave float32.
        shrink = math.ldexp(1.0, -exponent) if exponent > _LEAST_EXPONENT else 0.0
        second = 0.0
        third = 0.0
        fourth = 0.0
        for t in range(time):
            z = np.float32((row[t] - mean) * shrink)
            out[t] = z
            square = np.float64(z) * np.float64(z)
            second += square
            third += square * z
            fourth += square * square
        energy[s] = second
        second /= time
        scale[s] = unit
        table[s, MEAN] = mean
        table[s, MIN] = low
        table[s, MAX] = high
        table[s, PEAK_TO_PEAK] = high - low
        table[s, STD] = math.sqrt(second) * unit
        table[s, RMS] = math.sqrt(mean * mean + second * unit * unit)
        table[s, SKEWNESS] = third / time / (second * math.sqrt(second)) if second > 0.0 else 0.0
        table[s, KURTOSIS] = fourth / time / (second * second) - 3.0 if second > 0.0 else 0.0


@kernel
def _quantile(row: NDArray[np.float32] | NDArray[np.float64], share: float) -> float:
    """Quantile of a sorted row by linear interpolation (type 7 of Hyndman and Fan 1996)."""
    place = share * (row.size - 1)
    below = int(place)
    low = np.float64(row[below])
    high = np.float64(row[min(below + 1, row.size - 1)])
    return low + (place - below) * (high - low)


@kernel
def _nearest(row: NDArray[np.float32] | NDArray[np.float64], median: float, count: int) -> int:
    """Where the ``count`` values of a sorted row that are nearest to the median begin.

    They are neighbours. Bisection finds the first start whose left end is no farther from the
    median than its right end; the nearest begin there or one before.
    """
    first = 0
    last = row.size - count
    while first < last:
        middle = (first + last) // 2
        right_is_farther = median - row[middle] <= row[middle + count - 1] - median
        last = middle if right_is_farther else last
        first = first if right_is_farther else middle + 1
    before = max(first - 1, 0)
    right = np.float64(row[first + count - 1]) - median
    return before if median - np.float64(row[before]) < right else first


@kernel
def order(ordered: NDArray[np.float32] | NDArray[np.float64], table: NDArray[np.float64]) -> None:
    """Write median, mad and iqr of rows already sorted over time.

    Args:
        ordered: (signals, time) ascending.
        table: (signals, 27) written at the order columns.
    """
    time = ordered.shape[1]
    lower = (time - 1) // 2
    upper = time // 2
    for s in range(ordered.shape[0]):
        row = ordered[s]
        # Halved before the sum: two huge values must not overflow.
        median = 0.5 * np.float64(row[lower]) + 0.5 * np.float64(row[upper])
        first = _nearest(row, median, lower + 1)
        left = median - np.float64(row[first])
        right = np.float64(row[first + lower]) - median
        deviation = max(left, right)
        if upper > lower:
            # The next nearest value is the nearer of the two neighbours of those.
            below = median - np.float64(row[first - 1]) if first > 0 else np.inf
            above = np.float64(row[first + upper]) - median if first + upper < time else np.inf
            deviation = 0.5 * deviation + 0.5 * min(below, above)
        table[s, MEDIAN] = median
        table[s, MAD] = deviation
        table[s, IQR] = _quantile(row, 0.75) - _quantile(row, 0.25)
