"""Features of the order in time: crossings, differences, trend and the autocorrelation's peak."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue.compiled import kernel
from pipeline.catalogue.plan import LAGS_AT_ONCE, VECTOR
from pipeline.catalogue.registry import SIGNAL_POSITION as _AT

ZERO_CROSSING_RATE: Final = _AT["zero_crossing_rate"]
MEAN_ABS_DIFF: Final = _AT["mean_abs_diff"]
SLOPE: Final = _AT["slope"]
PEAK: Final = _AT["autocorr_peak"]
PEAK_LAG: Final = _AT["autocorr_peak_lag"]


@kernel
def trend(
    centred: NDArray[np.float32],
    time: int,
    rate_hz: float,
    scale: NDArray[np.float64],
    table: NDArray[np.float64],
) -> None:
    """Write zero_crossing_rate, mean_abs_diff and slope.

    Args:
        centred: (signals, >= time) mean removed, divided by ``scale``.
        time: Samples of a signal.
        rate_hz: Sampling rate.
        scale: (signals,)
        table: (signals, 27) written at those three columns.
    """
    middle = 0.5 * (time - 1)
    spread = time * (np.float64(time) * time - 1.0) / 12.0
    for s in range(centred.shape[0]):
        row = centred[s, : time - 1]
        following = centred[s, 1:time]
        crossings = 0
        travelled = 0.0
        lever = 0.0
        for t in range(time - 1):
            here = row[t]
            there = following[t]
            crossings += ((here > 0.0) != (there > 0.0)) | ((here < 0.0) != (there < 0.0))
            travelled += abs(np.float64(there) - np.float64(here))
            lever += (t - middle) * here
        lever += middle * centred[s, time - 1]
        table[s, ZERO_CROSSING_RATE] = crossings / (time - 1)
        table[s, MEAN_ABS_DIFF] = travelled / (time - 1) * scale[s]
        table[s, SLOPE] = lever / spread * rate_hz * scale[s]


@kernel
def autocorrelation_peak(
    centred: NDArray[np.float32],
    time: int,
    first: int,
    last: int,
    rate_hz: float,
    table: NDArray[np.float64],
) -> None:
    """Write autocorr_peak and autocorr_peak_lag by direct sums over the lags searched.

    Four lags share each load of the signal; the zeros behind it make every sum a whole number of
    vectors. At 50 Hz this beats a padded FFT and its inverse by about two.

    Args:
        centred: (signals, >= time + padded_zeros) mean removed, in [-1, 1], zero from ``time`` on.
        time: Samples of a signal.
        first: Shortest lag, at least 1.
        last: Longest lag, at most ``time - 2``; below ``first`` there is none to search.
        rate_hz: Sampling rate.
        table: (signals, 27) written at those two columns.
    """
    if last < first:
        table[:, PEAK] = 0.0
        table[:, PEAK_LAG] = 0.0
        return
    zero = np.float32(0.0)
    one, two, three = np.uintp(1), np.uintp(2), np.uintp(3)
    products = np.empty(last - first + 3 + LAGS_AT_ONCE, dtype=np.float32)
    for s in range(centred.shape[0]):
        row = centred[s]
        for lag in range(first - 1, last + 2, LAGS_AT_ONCE):
            offset = np.uintp(lag)
            a, b, c, d = zero, zero, zero, zero
            # Unsigned indices: signed ones carry a test for negatives, which bars vectors.
            for t in range(np.uintp((time - lag + VECTOR - 1) // VECTOR * VECTOR)):
                here = row[t]
                there = t + offset
                a += here * row[there]
                b += here * row[there + one]
                c += here * row[there + two]
                d += here * row[there + three]
            place = lag - first + 1
            products[place] = a
            products[place + 1] = b
            products[place + 2] = c
            products[place + 3] = d
        energy = 0.0
        for t in range(time):
            energy += np.float64(row[t]) * np.float64(row[t])
        peak = -np.inf
        peak_lag = 0
        for place in range(1, last - first + 2):
            value = products[place]
            if value > peak and value > products[place - 1] and value > products[place + 1]:
                peak = value
                peak_lag = first - 1 + place
        table[s, PEAK] = min(max(peak / energy, -1.0), 1.0) if peak_lag > 0 else 0.0
        table[s, PEAK_LAG] = peak_lag / rate_hz
