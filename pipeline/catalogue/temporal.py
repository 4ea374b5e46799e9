"""Features of the order in time: crossings, differences, trend and the autocorrelation's peak."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.compiled.kernels import kernel, part_of_kernel
from headrace.pipeline.catalogue.plan import LAGS_AT_ONCE, LEAD, VECTOR
from headrace.pipeline.catalogue.registry import SIGNAL_POSITION as _AT

ZERO_CROSSING_RATE: Final = _AT["zero_crossing_rate"]
MEAN_ABS_DIFF: Final = _AT["mean_abs_diff"]
SLOPE: Final = _AT["slope"]
PEAK: Final = _AT["autocorr_peak"]
PEAK_LAG: Final = _AT["autocorr_peak_lag"]

_LAG_BITS: Final = 24
_LAG_MASK: Final = (1 << _LAG_BITS) - 1
_POSITIVE: Final = (1 << 31) - 1
_NO_PEAK: Final = -(1 << 62)


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
        centred: (signals, >= LEAD + time) mean removed, divided by ``scale``, after LEAD zeros.
        time: Samples of a signal.
        rate_hz: Sampling rate.
        scale: (signals,)
        table: (signals, 27) written at those three columns.
    """
    middle = 0.5 * (time - 1)
    spread = time * (np.float64(time) * time - 1.0) / 12.0
    for s in range(centred.shape[0]):
        row = centred[s, LEAD : LEAD + time - 1]
        following = centred[s, LEAD + 1 : LEAD + time]
        crossings = 0
        travelled = 0.0
        lever = 0.0
        for t in range(time - 1):
            here = row[t]
            there = following[t]
            crossings += ((here > 0.0) != (there > 0.0)) | ((here < 0.0) != (there < 0.0))
            travelled += abs(np.float64(there) - np.float64(here))
            lever += (t - middle) * here
        lever += middle * centred[s, LEAD + time - 1]
        table[s, ZERO_CROSSING_RATE] = crossings / (time - 1)
        table[s, MEAN_ABS_DIFF] = travelled / (time - 1) * scale[s]
        table[s, SLOPE] = lever / spread * rate_hz * scale[s]


@part_of_kernel
def _sum_products(
    row: NDArray[np.float32], time: int, first: int, last: int, products: NDArray[np.float32]
) -> None:
    """Write the sums of a signal's products with itself, from lag ``first - 1`` on.

    Twelve lags, lag + 4 j + r, share three loads (j) and four (r) of the signal for twelve
    products; the zeros around the signal make every sum a whole number of vectors.
    """
    zero = np.float32(0.0)
    # Unsigned indices: signed ones carry a test for negatives, which bars vectors.
    four, eight, one, two, three = np.uintp(4), np.uintp(8), np.uintp(1), np.uintp(2), np.uintp(3)
    for lag in range(first - 1, last + 2, LAGS_AT_ONCE):
        a0, a1, a2, a3 = zero, zero, zero, zero
        b0, b1, b2, b3 = zero, zero, zero, zero
        c0, c1, c2, c3 = zero, zero, zero, zero
        offset = np.uintp(LEAD + lag)
        for t in range(np.uintp((time - lag + VECTOR - 1) // VECTOR * VECTOR)):
            a, b, c = row[t + eight], row[t + four], row[t]
            ahead = t + offset
            v0, v1, v2, v3 = row[ahead], row[ahead + one], row[ahead + two], row[ahead + three]
            a0 += a * v0
            a1 += a * v1
            a2 += a * v2
            a3 += a * v3
            b0 += b * v0
            b1 += b * v1
            b2 += b * v2
            b3 += b * v3
            c0 += c * v0
            c1 += c * v1
            c2 += c * v2
            c3 += c * v3
        at = lag - first + 1
        products[at], products[at + 1], products[at + 2], products[at + 3] = a0, a1, a2, a3
        at += 4
        products[at], products[at + 1], products[at + 2], products[at + 3] = b0, b1, b2, b3
        at += 4
        products[at], products[at + 1], products[at + 2], products[at + 3] = c0, c1, c2, c3


@kernel
def autocorrelation_peak(
    centred: NDArray[np.float32],
    time: int,
    first: int,
    last: int,
    rate_hz: float,
    energy: NDArray[np.float64],
    table: NDArray[np.float64],
) -> None:
    """Write autocorr_peak and autocorr_peak_lag by direct sums over the lags searched.

    On long rows this runs at what the core can multiply and add, and beats a padded FFT and its
    inverse at every length tried from 64 to 2,048 samples with up to 260 lags (not with 26,000).

    Args:
        centred: (signals, LEAD + time + `Lags.zeros`) mean removed, in [-1, 1], zero around the
            signal.
        time: Samples of a signal.
        first: Shortest lag, at least 1.
        last: Longest lag, at most ``time - 2``; below ``first`` there is none to search.
        rate_hz: Sampling rate.
        energy: (signals,) sum of the squares of each signal.
        table: (signals, 27) written at those two columns.
    """
    if last < first:
        table[:, PEAK] = 0.0
        table[:, PEAK_LAG] = 0.0
        return
    products = np.empty(last - first + 3 + LAGS_AT_ONCE, dtype=np.float32)
    patterns = products.view(np.int32)
    for s in range(centred.shape[0]):
        _sum_products(centred[s], time, first, last, products)
        # Keys as in the spectrum; sums may be negative, and bits of those run the other way.
        best = np.int64(_NO_PEAK)
        for place in range(1, last - first + 2):
            value = products[place]
            is_peak = (value > products[place - 1]) & (value > products[place + 1])
            bits = np.int64(patterns[place])
            ordered = bits if bits >= 0 else bits ^ _POSITIVE
            key = (ordered << _LAG_BITS) - place if is_peak else np.int64(_NO_PEAK)
            best = max(best, key)
        chosen = -best & _LAG_MASK
        peak_lag = first - 1 + chosen if best > _NO_PEAK else 0
        peak = products[chosen] if best > _NO_PEAK else np.float32(0.0)
        share = np.float64(peak) / energy[s] if best > _NO_PEAK else 0.0
        table[s, PEAK] = min(max(share, -1.0), 1.0)
        table[s, PEAK_LAG] = peak_lag / rate_hz
