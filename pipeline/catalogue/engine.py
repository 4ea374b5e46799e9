"""Runs a plan over windows, one tile that fits the second-level cache after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pipeline.catalogue import fourier, spectral, statistical, temporal, triads
from pipeline.catalogue.compiled import kernel
from pipeline.catalogue.plan import LEAD, Group, Plan
from pipeline.catalogue.registry import SIGNAL

_LARGEST: Final = float(np.finfo(np.float32).max)

_TILE_SAMPLES: Final = 1 << 16
"""Samples of all signals of a tile: its arrays, 1.2 MB together, stay in the caches of a core.

Measured on 128 x 9, microseconds a window: 2^13 11.1, 2^14 10.2, 2^15 9.7, 2^16 9.3, 2^17 9.0. What
small tiles lose is the calls.
"""


def tile_windows(plan: Plan) -> int:
    """Windows computed at once. Results do not depend on it."""
    samples = plan.full.signals * plan.full.time + plan.jerk.signals * plan.jerk.time
    return max(1, _TILE_SAMPLES // samples)


def working_dtype(dtype: DTypeLike) -> np.dtype[np.float32] | np.dtype[np.float64]:
    """float32 when it holds every value of ``dtype`` exactly, else float64.

    Raises:
        TypeError: Not a real number type.
    """
    given = np.dtype(dtype)
    if given.kind not in "biuf":
        raise TypeError(f"Windows of dtype {given} have no features. Convert them to real numbers.")
    if np.can_cast(given, np.float32):
        return np.dtype(np.float32)
    return np.dtype(np.float64)


@dataclass(frozen=True)
class _Buffers:
    """Scratch of one group for one tile; ``signals`` is (windows, signals, time)."""

    signals: NDArray[np.float32] | NDArray[np.float64]
    centred: NDArray[np.float32]
    limits: NDArray[np.int32] | NDArray[np.int64]
    scale: NDArray[np.float64]
    energy: NDArray[np.float64]
    table: NDArray[np.float64]
    powers: NDArray[np.float32]
    direct: fourier.Direct | None


def _allocate(group: Group, windows: int, dtype: DTypeLike) -> _Buffers:
    rows = windows * group.signals
    return _Buffers(
        np.empty((windows, group.signals, group.time), dtype=dtype),
        np.zeros((rows, LEAD + group.time + group.lags.zeros), dtype=np.float32),
        np.empty((rows, 2), dtype=f"i{np.dtype(dtype).itemsize}"),
        np.empty(rows),
        np.empty(rows),
        np.empty((rows, len(SIGNAL))),
        np.empty((rows, group.time // 2 + 1), dtype=np.float32),
        fourier.prepare_direct(rows, group.time),
    )


def scratch_bytes(plan: Plan, windows: int, channels: int, dtype: DTypeLike) -> int:
    """Bytes allocated at once by `extract` besides its result; windows have ``channels``."""
    tile = min(windows, tile_windows(plan))
    item = working_dtype(dtype).itemsize
    total = tile * plan.full.time * channels * item
    for group in (plan.full, plan.jerk):
        row = group.time * item + (LEAD + group.time + group.lags.zeros) * 4
        row += 2 * item + 16 + len(SIGNAL) * 8
        row += (group.time // 2 + 1) * 4
        total += tile * group.signals * row
        total += fourier.scratch_bytes(tile * group.signals, group.time)
    return total + tile * sum(across.width for across in plan.across) * 8


def extract(
    plan: Plan, rate_hz: float, windows: NDArray[np.generic], out: NDArray[np.float32]
) -> None:
    """Write the planned columns of ``windows`` (n, time, channel) to ``out`` (n, >= columns)."""
    dtype = working_dtype(windows.dtype)
    tile = min(len(windows), tile_windows(plan))
    full = _allocate(plan.full, tile, dtype)
    jerk = _allocate(plan.jerk, tile, dtype)
    for start in range(0, len(windows), max(tile, 1)):
        part = np.ascontiguousarray(windows[start : start + tile], dtype=dtype)
        if len(part) < tile:
            full = _allocate(plan.full, len(part), dtype)
            jerk = _allocate(plan.jerk, len(part), dtype)
        _derive(plan, rate_hz, part, full.signals, jerk.signals)
        _extract_tile(plan, rate_hz, full, jerk, out[start : start + tile])


def _derive(
    plan: Plan,
    rate_hz: float,
    windows: NDArray[Any],
    signals: NDArray[np.float32] | NDArray[np.float64],
    jerks: NDArray[np.float32] | NDArray[np.float64],
) -> None:
    """Write the channels signal by signal, then magnitudes and jerks."""
    by_signal(windows, np.asarray(plan.channels), signals)
    if signals.dtype == np.float64:
        # Features are float32: a value beyond its range counts as the largest in it.
        np.clip(signals, -_LARGEST, _LARGEST, out=signals)
    for number, (x, y, z) in enumerate(plan.magnitudes):
        triads.magnitude(signals, x, y, z, len(plan.channels) + number)
    for number, (x, y, z) in enumerate(plan.jerks):
        triads.jerk_magnitude(signals, x, y, z, rate_hz, jerks, number)


def _extract_tile(
    plan: Plan, rate_hz: float, full: _Buffers, jerk: _Buffers, out: NDArray[np.float32]
) -> None:
    windows = len(out)
    for group, buffers in ((plan.full, full), (plan.jerk, jerk)):
        if group.signals:
            _extract_signals(group, rate_hz, buffers)
            place(buffers.table.reshape(windows, -1), group.columns, out, group.places)
    for across in plan.across:
        columns = np.empty((windows, across.width))
        triads.across(
            full.centred.reshape(windows, plan.full.signals, -1),
            plan.full.time,
            full.scale.reshape(windows, -1),
            full.table.reshape(windows, plan.full.signals, -1),
            *across.slots,
            columns,
        )
        place(columns, across.columns, out, across.places)


def _extract_signals(group: Group, rate_hz: float, buffers: _Buffers) -> None:
    """Run the kernels that the group's families need; sorts ``buffers.signals`` in place."""
    time, lags, table = group.time, group.lags, buffers.table
    centred, scale, energy = buffers.centred, buffers.scale, buffers.energy
    rows = buffers.signals.reshape(-1, time)
    whole = buffers.limits.dtype
    statistical.extremes(rows.view(whole), whole.type(np.iinfo(whole).max), buffers.limits)
    statistical.moments(rows, buffers.limits.view(rows.dtype), centred, scale, energy, table)
    if "order" in group.families:
        rows.sort(axis=1)
        statistical.order(rows, table)
    if "temporal" in group.families:
        temporal.trend(centred, time, rate_hz, scale, table)
    if "autocorrelation" in group.families:
        temporal.autocorrelation_peak(centred, time, lags.first, lags.last, rate_hz, energy, table)
    if "spectrum" in group.families:
        fourier.power(centred, time, buffers.direct, buffers.powers)
        spectral.spectrum(buffers.powers, rate_hz / time, group.bands, scale, table)


@kernel
def by_signal(
    windows: NDArray[np.float32] | NDArray[np.float64],
    channels: NDArray[np.int64],
    signals: NDArray[np.float32] | NDArray[np.float64],
) -> None:
    """Copy the chosen channels of (windows, time, channel) to (windows, signal, time)."""
    for w in range(windows.shape[0]):
        for slot in range(channels.size):
            channel, out = channels[slot], signals[w, slot]
            for t in range(windows.shape[1]):
                out[t] = windows[w, t, channel]


@kernel
def place(
    table: NDArray[np.float64],
    columns: NDArray[np.int64],
    out: NDArray[np.float32],
    places: NDArray[np.int64],
) -> None:
    """Copy ``table[:, columns]`` to ``out[:, places]``, saturating at the range of float32."""
    for row in range(table.shape[0]):
        for i in range(columns.size):
            value = table[row, columns[i]]
            out[row, places[i]] = np.float32(min(max(value, -_LARGEST), _LARGEST))
