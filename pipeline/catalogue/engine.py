"""Runs a plan over windows, one tile that fits the second-level cache after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from headrace.compiled.kernels import kernel
from headrace.pipeline.catalogue import fourier, spectral, statistical, temporal, triads
from headrace.pipeline.catalogue.plan import LEAD, Group, Plan
from headrace.pipeline.catalogue.registry import SIGNAL
from headrace.pipeline.catalogue.sizes import tile_windows, working_dtype

_LARGEST: Final = float(np.finfo(np.float32).max)


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

    def first(self, windows: int) -> _Buffers:
        """The same memory for fewer windows."""
        rows = windows * self.signals.shape[1]
        return _Buffers(
            self.signals[:windows],
            self.centred[:rows],
            self.limits[:rows],
            self.scale[:rows],
            self.energy[:rows],
            self.table[:rows],
            self.powers[:rows],
            self.direct,
        )


def _allocate(group: Group, windows: int, dtype: DTypeLike) -> _Buffers:
    rows, spectrum = windows * group.signals, "spectrum" in group.families
    return _Buffers(
        np.empty((windows, group.signals, group.time), dtype=dtype),
        np.zeros((rows, LEAD + group.time + group.lags.zeros), dtype=np.float32),
        np.empty((rows, 2), dtype=f"i{np.dtype(dtype).itemsize}"),
        np.empty(rows),
        np.empty(rows),
        np.empty((rows, len(SIGNAL))),
        np.empty((rows if spectrum else 0, group.time // 2 + 1), dtype=np.float32),
        fourier.prepare_direct(rows, group.time) if spectrum else None,
    )


def extract(
    plan: Plan, rate_hz: float, windows: NDArray[np.generic], out: NDArray[np.float32]
) -> None:
    """Write the planned columns, at least one, of ``windows`` (n, time, channel) to ``out``.

    ``out`` is (n, >= columns).
    """
    dtype = working_dtype(windows.dtype)
    tile = min(len(windows), tile_windows(plan))
    full = _allocate(plan.full, tile, dtype)
    jerk = _allocate(plan.jerk, tile, dtype)
    for start in range(0, len(windows), max(tile, 1)):
        part = np.ascontiguousarray(windows[start : start + tile], dtype=dtype)
        if len(part) < tile:
            full, jerk = full.first(len(part)), jerk.first(len(part))
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
