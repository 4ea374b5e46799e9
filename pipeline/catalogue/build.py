"""The catalogue itself: named columns, and a pure function from windows to their values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from headrace.pipeline.catalogue.columns import Triad, column_names, select_columns
from headrace.pipeline.catalogue.custom import CustomFeature, FeatureFunction, load_custom
from headrace.pipeline.catalogue.plan import Plan, make_plan
from headrace.pipeline.catalogue.sizes import scratch_bytes, working_dtype

SHORTEST_WINDOW: Final = 8
"""Fewest samples of a window: below, the spectrum of a jerk has fewer than three bins."""


@dataclass(frozen=True)
class Catalogue:
    """A fixed list of columns and what computes them. Build one with `build_catalogue`.

    Attributes:
        names: Column names, in the order of the columns that `extract` returns.
        channels: Channel names, in the order of the windows' last axis.
        rate_hz: Sampling rate.
        time: Samples of a window.
        plan: Work for the columns of the catalogue's own.
        custom: Functions of the user's, whose columns come last.
        custom_windows: Windows that a function of the user's is given at a time.
    """

    names: tuple[str, ...]
    channels: tuple[str, ...]
    rate_hz: float
    time: int
    plan: Plan
    custom: tuple[CustomFeature, ...]
    custom_windows: int = 4096

    def extract(
        self, windows: NDArray[Any], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Features of each window.

        A row depends on its own window only: not on the other windows, their number or their
        order, to the last bit. Input that float32 cannot hold exactly is computed in float64;
        results beyond the range of float32 saturate.

        Args:
            windows: (n, time, channel), any real dtype, in units, finite.
            out: (n, features) contiguous, to write into; made if it is not given.

        Returns:
            (n, features) float32, finite.

        Raises:
            TypeError: The windows are not real numbers.
            ValueError: Another shape than the catalogue was built for, or an ``out`` that does not
                fit.
            FeatureFunctionError: A function of the user's failed, or returned something unusable.
        """
        working_dtype(windows.dtype)
        expected = (self.time, len(self.channels))
        if windows.ndim != 3 or windows.shape[1:] != expected:
            raise ValueError(
                f"Windows have shape {windows.shape}, the catalogue was built for "
                f"(n, {expected[0]}, {expected[1]}). Build one for this shape."
            )
        shape = (len(windows), len(self.names))
        if out is None:
            out = np.empty(shape, dtype=np.float32)
        elif out.shape != shape or out.dtype != np.float32 or not out.flags.carray:
            raise ValueError(
                f"out is {out.dtype} {out.shape}; contiguous float32 {shape} is needed."
            )
        if self.plan.columns:
            # Numba and SciPy take half a second to import: names, plans and the user's own
            # functions do without.
            from headrace.pipeline.catalogue import engine

            engine.extract(self.plan, self.rate_hz, windows, out)
        self._extract_custom(windows, out)
        return out

    def _extract_custom(self, windows: NDArray[Any], out: NDArray[np.float32]) -> None:
        column = len(self.names) - sum(len(feature.names) for feature in self.custom)
        for feature in self.custom:
            for start in range(0, len(windows), self.custom_windows):
                part = slice(start, start + self.custom_windows)
                values = feature.extract(windows[part].astype(np.float32), self.rate_hz)
                out[part, column : column + len(feature.names)] = values
            column += len(feature.names)

    def scratch_bytes(self, windows: int, dtype: DTypeLike = np.float32) -> int:
        """Bytes that `extract` needs for a while, besides the windows and its result.

        Args:
            windows: Number of windows of the call.
            dtype: Of the windows.

        Returns:
            At most a few MiB, whatever ``windows``; with functions of the user's, plus one
            float32 copy and their columns of ``custom_windows`` windows. What such a function
            allocates itself is unknown.
        """
        total = scratch_bytes(self.plan, windows, len(self.channels), dtype)
        if self.custom:
            widest = max(len(feature.names) for feature in self.custom)
            row = 4 * (self.time * len(self.channels) + 3 * widest)
            total += min(windows, self.custom_windows) * row
        return total


def build_catalogue(
    channels: Sequence[str],
    rate_hz: float,
    time: int,
    triads: Sequence[Triad] = (),
    select: Sequence[str] = ("*",),
    custom: Sequence[str | FeatureFunction] = (),
    folder: Path | None = None,
) -> Catalogue:
    """Build the catalogue of a data set.

    Args:
        channels: Channel names, in the order of the windows' last axis.
        rate_hz: Sampling rate.
        time: Samples of a window, at least 8.
        triads: Channels that belong together.
        select: Names or globs of columns to keep; a leading ``!`` excludes.
        custom: Functions decorated with `feature_function`, or ``module:function`` of them.
        folder: Where their modules are looked for first; None for the working directory.

    Raises:
        ValueError: An argument out of range, a pattern that matches nothing, a function that
            cannot be loaded, or two columns of one name.
    """
    _check(channels, rate_hz, time, triads)
    names = column_names(channels, triads)
    selected = select_columns(names, select)
    functions = load_custom(custom, folder or Path.cwd())
    chosen = (
        *(names[column] for column in selected),
        *(name for function in functions for name in function.names),
    )
    _check_distinct("column", chosen)
    return Catalogue(
        chosen,
        tuple(channels),
        float(rate_hz),
        time,
        make_plan(channels, triads, float(rate_hz), time, selected),
        functions,
    )


def _check(channels: Sequence[str], rate_hz: float, time: int, triads: Sequence[Triad]) -> None:
    if not channels:
        raise ValueError("A catalogue needs at least one channel. Name the channels.")
    if not (math.isfinite(rate_hz) and rate_hz > 0):
        raise ValueError(f"The sampling rate is {rate_hz} Hz. Give one above 0.")
    if time < SHORTEST_WINDOW:
        raise ValueError(
            f"Features need windows of at least {SHORTEST_WINDOW} samples, these have {time}. "
            f"Take longer windows, or none: features.select = []."
        )
    for triad in triads:
        if len(set(triad.channels)) != 3 or not set(triad.channels) <= set(range(len(channels))):
            raise ValueError(
                f"Triad {triad.name!r} has channels {triad.channels}. "
                f"Give three different numbers from 0 to {len(channels) - 1}."
            )
    _check_distinct("signal", column_owners(channels, triads))


def column_owners(channels: Sequence[str], triads: Sequence[Triad]) -> tuple[str, ...]:
    """Every prefix of a column: channels, magnitudes, triads."""
    derived = (f"{t.name}{kind}" for t in triads for kind in ("_mag", "_jerk_mag", ""))
    return (*channels, *derived)


def _check_distinct(what: str, names: Sequence[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(
            f"Each {what} needs a name of its own, given more than once: "
            f"{', '.join(repeated[:3])}. Rename all but one."
        )
