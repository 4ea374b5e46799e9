"""Signals derived from a triad, and the features across its three channels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from headrace.compiled.kernels import kernel
from headrace.pipeline.catalogue.plan import LEAD
from headrace.pipeline.catalogue.statistical import MEAN

_LARGEST = float(np.finfo(np.float32).max)


@kernel
def magnitude(
    signals: NDArray[np.float32] | NDArray[np.float64], x: int, y: int, z: int, to: int
) -> None:
    """Write sqrt(x^2 + y^2 + z^2) of three signals of each window as signal ``to``.

    Squares are float64, the root saturates at the largest float32.

    Args:
        signals: (windows, signals, time)
        x: Number of the first signal of the triad.
        y: Number of the second.
        z: Number of the third.
        to: Number of the signal written.
    """
    for w in range(signals.shape[0]):
        a, b, c, out = signals[w, x], signals[w, y], signals[w, z], signals[w, to]
        for t in range(signals.shape[2]):
            square = np.float64(a[t]) * a[t] + np.float64(b[t]) * b[t] + np.float64(c[t]) * c[t]
            out[t] = min(math.sqrt(square), _LARGEST)


@kernel
def jerk_magnitude(
    signals: NDArray[np.float32] | NDArray[np.float64],
    x: int,
    y: int,
    z: int,
    rate_hz: float,
    jerks: NDArray[np.float32] | NDArray[np.float64],
    to: int,
) -> None:
    """Write the length of the first difference of a triad, times the rate.

    Args:
        signals: (windows, signals, time)
        x: Number of the first signal of the triad.
        y: Number of the second.
        z: Number of the third.
        rate_hz: Sampling rate.
        jerks: (windows, triads, time - 1)
        to: Number of the jerk written.
    """
    for w in range(signals.shape[0]):
        a, b, c, out = signals[w, x], signals[w, y], signals[w, z], jerks[w, to]
        next_a, next_b, next_c = a[1:], b[1:], c[1:]
        for t in range(jerks.shape[2]):
            dx = np.float64(next_a[t]) - np.float64(a[t])
            dy = np.float64(next_b[t]) - np.float64(b[t])
            dz = np.float64(next_c[t]) - np.float64(c[t])
            out[t] = min(math.sqrt(dx * dx + dy * dy + dz * dz) * rate_hz, _LARGEST)


@kernel
def across(
    centred: NDArray[np.float32],
    time: int,
    scale: NDArray[np.float64],
    table: NDArray[np.float64],
    x: int,
    y: int,
    z: int,
    out: NDArray[np.float64],
) -> None:
    """Write the features across a triad: correlations, sma, and gravity where ``out`` has room.

    Args:
        centred: (windows, signals, >= LEAD + time) mean removed, divided by ``scale``, after LEAD
            zeros.
        time: Samples of a signal.
        scale: (windows, signals)
        table: (windows, signals, 27) with the means.
        x: Number of the first signal of the triad.
        y: Number of the second.
        z: Number of the third.
        out: (windows, 4) or, with gravity, (windows, 9), written.
    """
    for w in range(centred.shape[0]):
        a = centred[w, x, LEAD : LEAD + time]
        b = centred[w, y, LEAD : LEAD + time]
        c = centred[w, z, LEAD : LEAD + time]
        ab, ac, bc, aa, bb, cc = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        area_a, area_b, area_c = 0.0, 0.0, 0.0
        for t in range(time):
            va, vb, vc = np.float64(a[t]), np.float64(b[t]), np.float64(c[t])
            ab += va * vb
            ac += va * vc
            bc += vb * vc
            aa += va * va
            bb += vb * vb
            cc += vc * vc
            area_a += abs(va)
            area_b += abs(vb)
            area_c += abs(vc)
        out[w, 0] = _correlation(ab, aa, bb)
        out[w, 1] = _correlation(ac, aa, cc)
        out[w, 2] = _correlation(bc, bb, cc)
        area = area_a * scale[w, x] + area_b * scale[w, y] + area_c * scale[w, z]
        out[w, 3] = area / time
        if out.shape[1] > 4:
            _gravity(table[w, x, MEAN], table[w, y, MEAN], table[w, z, MEAN], out[w, 4:])


@kernel
def _correlation(product: float, first: float, second: float) -> float:
    if first <= 0.0 or second <= 0.0:
        return 0.0
    return min(max(product / math.sqrt(first * second), -1.0), 1.0)


@kernel
def _gravity(gx: float, gy: float, gz: float, out: NDArray[np.float64]) -> None:
    """Write pitch, roll and the angles to X, Y, Z of the vector g, in radians.

    Every angle is an arc tangent: arc cosines lose half of the digits near an axis. The guards
    keep the sign of a zero out of the result, so that g = 0 gives zeros.
    """
    if gx == 0.0 and gy == 0.0 and gz == 0.0:
        out[:] = 0.0
        return
    across_x = math.sqrt(gy * gy + gz * gz)
    out[0] = math.atan2(-gx, across_x) if gx != 0.0 else 0.0
    out[1] = math.atan2(gy, gz) if gy != 0.0 or gz != 0.0 else 0.0
    out[2] = math.atan2(across_x, gx)
    out[3] = math.atan2(math.sqrt(gx * gx + gz * gz), gy)
    out[4] = math.atan2(math.sqrt(gx * gx + gy * gy), gz)
