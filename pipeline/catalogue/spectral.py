"""Features of the one-sided power spectrum of each signal, mean removed, DC dropped."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.compiled.kernels import kernel
from headrace.pipeline.catalogue.registry import BANDS_HZ, LOG_FLOOR, ROLLOFF
from headrace.pipeline.catalogue.registry import SIGNAL_POSITION as _AT

DOMINANT_FREQ: Final = _AT["dominant_freq"]
DOMINANT_POWER_RATIO: Final = _AT["dominant_power_ratio"]
LOG_TOTAL_POWER: Final = _AT["log_total_power"]
SPECTRAL_CENTROID: Final = _AT["spectral_centroid"]
SPECTRAL_SPREAD: Final = _AT["spectral_spread"]
SPECTRAL_ENTROPY: Final = _AT["spectral_entropy"]
ROLLOFF_85: Final = _AT["rolloff_85"]
FIRST_BAND: Final = _AT[f"band_power_{BANDS_HZ[0][0]:g}_{BANDS_HZ[0][1]:g}"]

_BLOCK: Final = 16
"""Bins summed at once in search of the rolloff."""

_BIN_BITS: Final = 24
_BIN_MASK: Final = (1 << _BIN_BITS) - 1
"""Bits of a bin's number in a key; windows of 2^25 samples are far off."""

_f4: Final = np.float32
_i4: Final = np.int32
_ROOT_HALF_BITS: Final = np.float32(math.sqrt(0.5)).view(np.int32)
_LOG2_E: Final = np.float32(math.log2(math.e))


@kernel
def spectrum(
    powers: NDArray[np.float32],
    bin_hz: float,
    bands: NDArray[np.int64],
    scale: NDArray[np.float64],
    table: NDArray[np.float64],
) -> None:
    """Write all spectral columns.

    Args:
        powers: (signals, time // 2 + 1) of the centred rows; that of bin 0 is set to 0.
        bin_hz: Distance of two bins, rate / time.
        bands: (bands, 2) from `band_bins`.
        scale: (signals,) what the centred rows were divided by.
        table: (signals, 27) written at the spectral columns.
    """
    bins = powers.shape[1]
    full_entropy = math.log2(bins - 1)
    patterns = powers.view(np.int32)
    for s in range(powers.shape[0]):
        power, pattern = powers[s], patterns[s]
        power[0] = _f4(0.0)
        # Powers are not negative, so their bits are ordered as they are; with the bin below them
        # the largest key is the largest power at its lowest bin. Maxima of integers are
        # vectorised, those of floats are not. One loop for each type of sum: mixed ones are not.
        largest_key = np.int64(0)
        for k in range(bins):
            largest_key = max(largest_key, (np.int64(pattern[k]) << _BIN_BITS) - k)
        dominant = -largest_key & _BIN_MASK
        largest = power[dominant]
        total = 0.0
        first = 0.0
        second = 0.0
        for k in range(bins):
            p = np.float64(power[k])
            total += p
            first += k * p
            second += k * (k * p)
        table[s, LOG_TOTAL_POWER] = math.log10(total * scale[s] * scale[s] + LOG_FLOOR)
        if total == 0.0:
            for column in range(DOMINANT_FREQ, FIRST_BAND + bands.shape[0]):
                if column != LOG_TOTAL_POWER:
                    table[s, column] = 0.0
            continue
        centroid = first / total
        table[s, SPECTRAL_CENTROID] = centroid * bin_hz
        table[s, SPECTRAL_SPREAD] = math.sqrt(max(second / total - centroid**2, 0.0)) * bin_hz
        table[s, DOMINANT_FREQ] = dominant * bin_hz
        table[s, DOMINANT_POWER_RATIO] = largest / total
        entropy = float(_entropy_bits(power, total)) / full_entropy
        table[s, SPECTRAL_ENTROPY] = min(max(entropy, 0.0), 1.0)
        table[s, ROLLOFF_85] = _rolloff_bin(power, ROLLOFF * total) * bin_hz
        for band in range(bands.shape[0]):
            inside = 0.0
            for k in range(bands[band, 0], bands[band, 1]):
                inside += power[k]
            table[s, FIRST_BAND + band] = min(inside / total, 1.0)


@kernel
def _rolloff_bin(power: NDArray[np.float32], target: float) -> int:
    """First bin where the running sum reaches ``target``: the block first, then the bin in it.

    Within the block it counts: leaving a loop at a place that the data decide costs more.
    """
    reached = 0.0
    start = 0
    while start + _BLOCK < power.size:
        block = 0.0
        for k in range(start, start + _BLOCK):
            block += np.float64(power[k])
        if reached + block >= target:
            break
        reached += block
        start += _BLOCK
    found = start
    for k in range(start, min(start + _BLOCK, power.size)):
        reached += np.float64(power[k])
        found += int(reached < target)
    return min(max(found, 1), power.size - 1)


@kernel
def _entropy_bits(power: NDArray[np.float32], total: float) -> np.float32:
    """Sum of -p log2 p over the shares p of ``total``; a share of zero adds nothing.

    log2 from the exponent field and the odd series of 2 atanh((m - 1) / (m + 1)), m in
    [sqrt(1/2), sqrt(2)); the first term left out is below 3e-9. The library's log2 is a call for
    each bin, this is whole vectors. The casts keep every step at 32 bits.
    """
    one = _f4(1.0)
    per_total = _f4(1.0 / total)
    bits = _f4(0.0)
    for k in range(power.size):
        p = _f4(power[k] * per_total)
        pattern = p.view(np.int32)
        exponent = _i4(_i4(pattern - _ROOT_HALF_BITS) >> 23)
        m = _i4(pattern - _i4(exponent << 23)).view(np.float32)
        a = (m - one) / (m + one)
        q = a * a
        series = one + q * (_f4(1 / 3) + q * (_f4(1 / 5) + q * (_f4(1 / 7) + q * _f4(1 / 9))))
        bits -= p * (_f4(exponent) + _f4(2.0) * _LOG2_E * a * series)
    return bits
