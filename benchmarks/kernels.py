"""Speed of the feature kernels on one core, and where their time goes.

    python -m benchmarks.kernels

Prints windows/s for windows of several shapes, in batches as the features stage uses them, and
for two shapes the time of each part beside what the core could do: a roofline. Exit code 1: all
features of windows of 128 x 9 take more than MOST_TIMES the time of NumPy's sort and SciPy's FFT of
the same windows, timed in turn on the same core. Two of the features' steps, and as quick as the
processor lets them be.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from benchmarks.timing import interleaved, machine, on_one_core, table, version
from headrace.pipeline.catalogue import (
    Catalogue,
    Triad,
    build_catalogue,
    engine,
    fourier,
    spectral,
    statistical,
    temporal,
)
from headrace.pipeline.catalogue.sizes import tile_windows
from headrace.pipeline.features.catalogue import BATCH_WINDOWS

MOST_TIMES = 5.0
"""2.9 with AVX-512, 3.1 with it masked (Xeon of 2023)."""
MOST_WINDOWS = 16 * BATCH_WINDOWS
ROUNDS = 7


@dataclass(frozen=True)
class Shape:
    """Windows to time: T samples of C channels, with the first channels in `triads` triads."""

    time: int
    channels: int
    triads: int
    rate_hz: float

    @property
    def name(self) -> str:
        """As it stands in the table."""
        with_triads = f", {self.triads} triads" if self.triads else ""
        return f"{self.time} x {self.channels}{with_triads} at {self.rate_hz:g} Hz"

    def catalogue(self) -> Catalogue:
        """All features of such windows."""
        names = [f"c{channel}" for channel in range(self.channels)]
        declared = [
            Triad(f"t{n}", (3 * n, 3 * n + 1, 3 * n + 2), accelerometer=n == 0)
            for n in range(self.triads)
        ]
        return build_catalogue(names, self.rate_hz, self.time, declared)

    def windows(self, count: int) -> NDArray[np.float32]:
        """Random walks with noise: nothing in them is easy to predict."""
        rng = np.random.default_rng(0)
        steps = rng.normal(size=(count, self.time, self.channels)).astype(np.float32)
        return np.cumsum(steps, axis=1) * np.float32(0.1) + steps


SHAPES = (
    Shape(128, 9, 0, 50.0),
    Shape(128, 6, 2, 50.0),
    Shape(512, 6, 2, 100.0),
    Shape(512, 6, 2, 200.0),
    Shape(200, 6, 0, 50.0),
    Shape(64, 3, 0, 50.0),
    Shape(2048, 12, 0, 200.0),
)


def in_batches(
    run: Callable[[NDArray[np.float32]], object], windows: NDArray[np.float32]
) -> Callable[[], object]:
    """`run` on batches as the features stage makes them."""
    parts = [windows[at : at + BATCH_WINDOWS] for at in range(0, len(windows), BATCH_WINDOWS)]
    return lambda: [run(part) for part in parts]


def sort_and_fft(windows: NDArray[np.float32]) -> None:
    """What order statistics and a spectrum take at least, by well-kept libraries."""
    signals = np.ascontiguousarray(windows.transpose(0, 2, 1))
    np.sort(signals, axis=-1)
    scipy.fft.rfft(signals, axis=-1)


def times_of_libraries(shape: Shape) -> float:
    """The time of all features over that of `sort_and_fft`, side by side."""
    windows = shape.windows(MOST_WINDOWS)
    contenders = {
        "ours": in_batches(shape.catalogue().extract, windows),
        "theirs": in_batches(sort_and_fft, windows),
    }
    taken = interleaved(contenders, ROUNDS, time.process_time)
    return taken["ours"] / taken["theirs"]


def speeds() -> dict[str, float]:
    """Windows/s of each shape."""
    contenders: dict[str, Callable[[], object]] = {}
    counts = {}
    for shape in SHAPES:
        fitting = MOST_WINDOWS * 1152 // (shape.time * shape.channels)
        counts[shape.name] = min(MOST_WINDOWS, fitting)
        contenders[shape.name] = in_batches(
            shape.catalogue().extract, shape.windows(counts[shape.name])
        )
    taken = interleaved(contenders, ROUNDS, time.process_time)
    return {name: counts[name] / seconds for name, seconds in taken.items()}


@dataclass(frozen=True)
class Part:
    """One kernel over one tile: how to run it, and what it has to do for a signal."""

    name: str
    run: Callable[[], object]
    operations: float
    """Arithmetic operations and comparisons of a signal, by its definition."""


def parts(shape: Shape) -> tuple[list[Part], int]:
    """The kernels as the engine calls them on a tile that stays in cache; signals of the tile."""
    catalogue = shape.catalogue()
    plan, group = catalogue.plan, catalogue.plan.full
    tile = tile_windows(plan)
    windows = shape.windows(tile)
    buffers = engine._allocate(group, tile, np.float32)
    jerks = engine._allocate(plan.jerk, tile, np.float32)
    out = np.empty((tile, len(catalogue.names)), np.float32)
    engine._derive(plan, shape.rate_hz, windows, buffers.signals, jerks.signals)
    rows = buffers.signals.reshape(-1, shape.time)
    kept, length, rate = rows.copy(), shape.time, shape.rate_hz
    centred, scale, columns = buffers.centred, buffers.scale, buffers.table
    energy, limits = buffers.energy, buffers.limits.view(np.float32)
    engine._extract_signals(group, rate, buffers)
    ordered = np.sort(rows, axis=1)
    lags = range(group.lags.first - 1, group.lags.last + 2)
    log = math.log2(length)

    def sort() -> None:
        rows[:] = kept
        rows.sort(axis=1)

    listed = [
        Part("by signal", lambda: engine._derive(plan, rate, windows, buffers.signals,
             jerks.signals), 0),
        Part("extremes", lambda: statistical.extremes(
             kept.view(np.int32), np.int32(2**31 - 1), buffers.limits), 2 * length),
        Part("moments", lambda: statistical.moments(
             kept, limits, centred, scale, energy, columns),
             11 * length),
        Part("sort", sort, length * log),
        Part("order", lambda: statistical.order(ordered, columns), 4 * log),
        Part("trend", lambda: temporal.trend(centred, length, rate, scale, columns),
             9 * length),
        Part("autocorrelation", lambda: temporal.autocorrelation_peak(
             centred, length, group.lags.first, group.lags.last, rate, energy, columns),
             sum(2 * (length - lag) for lag in lags)),
        Part("power spectrum", lambda: fourier.power(
             centred, length, buffers.direct, buffers.powers),
             2.5 * length * log),
        Part("spectral features", lambda: spectral.spectrum(
             buffers.powers, rate / length, group.bands, scale, columns), 14 * length),
        Part("result", lambda: engine.place(
             columns.reshape(tile, -1), group.columns, out, group.places), 2 * 27),
    ]  # fmt: skip
    return listed, tile * group.signals


def peak() -> tuple[float, float]:
    """What this core can do: float32 operations/s in registers, and bytes/s copied in memory.

    The first by a polynomial of degree 7: seven multiplications and additions for each load.
    """

    @numba.njit(fastmath=True)
    def polynomial(values: NDArray[np.float32], c: NDArray[np.float32], times: int) -> None:
        c0, c1, c2, c3, c4, c5, c6, c7 = c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]
        for _ in range(times):
            for i in range(values.size):
                v = values[i]
                p = ((((((c7 * v + c6) * v + c5) * v + c4) * v + c3) * v + c2) * v + c1) * v + c0
                values[i] = p

    small, coefficients = np.ones(4096, np.float32), np.full(8, 0.1, np.float32)
    polynomial(small, coefficients, 1)
    times = 5_000
    seconds = min(_seconds(lambda: polynomial(small, coefficients, times)) for _ in range(9))
    large, copy = np.ones(1 << 26, np.uint8), np.empty(1 << 26, np.uint8)
    copied = min(_seconds(lambda: np.copyto(copy, large)) for _ in range(5))
    return 14 * small.size * times / seconds, 2 * large.size / copied


def _seconds(run: Callable[[], Any]) -> float:
    begun = time.process_time()
    run()
    return time.process_time() - begun


def roofline(shape: Shape) -> str:
    """Where a window's time goes, beside what its operations alone would take."""
    operations, bandwidth = peak()
    listed, signals = parts(shape)
    per_window = shape.channels / signals

    def repeated(run: Callable[[], object]) -> Callable[[], object]:
        return lambda: [run() for _ in range(20)]

    contenders = {part.name: repeated(part.run) for part in listed}
    taken = interleaved(contenders, ROUNDS, time.process_time)
    rows, total, bound = [], 0.0, 0.0
    for part in listed:
        seconds = taken[part.name] / 20 * per_window
        least = shape.channels * part.operations / operations
        total, bound = total + seconds, bound + least
        rows.append((part.name, f"{1e6 * seconds:.2f}", f"{1e6 * least:.2f}",
                     f"{least / seconds:.0%}"))  # fmt: skip
    columns = 27 * shape.channels
    traffic = 4 * (shape.time * shape.channels + columns)
    rows.append(("all", f"{1e6 * total:.2f}", f"{1e6 * bound:.2f}", f"{bound / total:.0%}"))
    rows.append(("memory traffic", "", f"{1e6 * traffic / bandwidth:.2f}", ""))
    note = (
        f"The core does {operations / 1e9:.0f} G float32 operations/s (multiply and add, in "
        f"registers) and copies {bandwidth / 1e9:.1f} GB/s; a window reads and writes "
        f"{traffic:,} bytes of memory.\n"
    )
    titles = ("part", "us a window", "bound by operations", "reached")
    return table(f"Roofline, {shape.name}", titles, rows) + "\n" + note


def main() -> int:
    """Print everything; 1 if the first shape takes too many times what libraries do."""
    on_one_core()
    print(f"{machine()}; {version('numpy', 'scipy', 'numba')}\n")
    found = speeds()
    rows = [
        (shape.name, str(len(shape.catalogue().names)), f"{found[shape.name]:,.0f}",
         f"{1e9 / found[shape.name] / (shape.time * shape.channels):.1f}")
        for shape in SHAPES
    ]  # fmt: skip
    titles = ("windows", "columns", "windows/s", "ns a sample")
    print(table(f"All features, one core, float32, batches of {BATCH_WINDOWS}", titles, rows))
    print(roofline(SHAPES[0]))
    print(roofline(SHAPES[-1]))
    times = times_of_libraries(SHAPES[0])
    print(
        f"{SHAPES[0].name}: all features take {times:.2f} times as long as NumPy's sort and "
        f"SciPy's FFT of the same windows (at most {MOST_TIMES})"
    )
    return int(times > MOST_TIMES)


if __name__ == "__main__":
    sys.exit(main())
