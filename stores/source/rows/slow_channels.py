"""Channels with NaN between their values, as of a slower sensor in a table of one rate."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import SLICE_BYTES, rows_of
from headrace.stores.source.channels import ChannelInfo
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.options import SourceOptions

LEAST_GAP_S = 1.0
PERIODS = 3
LOOKS, LOOK_ROWS = 16, 1 << 16
"""Places where the distance between two values is looked at, evenly spread, and most rows of each;
of many channels fewer."""


@dataclass(frozen=True)
class SlowChannels:
    """How NaN between two values of a channel is bridged.

    Attributes:
        columns: of the channels.
        gaps: of each, most rows from one value to the next.
        hold: the earlier value stands until the next; else values between lie on a line.
    """

    columns: tuple[int, ...]
    gaps: tuple[int, ...]
    hold: bool

    def support(self, first: int, stop: int) -> tuple[int, int]:
        """Rows that decide what rows `first` to `stop` become; they may pass the recording."""
        reach = max(self.gaps)
        return first - reach, stop + reach

    def bridge(self, rows: NDArray[Any], first: int, length: int) -> None:
        """Bridge the gaps in `rows` (n, C), in place.

        A gap that is wider than its channel's bound stays. Before the first value of a recording
        and after its last, that value stands, as far as the bound.

        Args:
            rows: those of `support`, less what is outside of the recording; rows nearer to a cut
                than the bound are not yet what they become.
            first: the number of the first of them in its recording.
            length: rows of the recording.
        """
        for column, most in zip(self.columns, self.gaps, strict=True):
            series = rows[:, column]
            missing = np.isnan(series)
            known, gap = np.flatnonzero(~missing), np.flatnonzero(missing)
            if len(known) == 0 or len(gap) == 0:
                continue
            after = np.searchsorted(known, gap)
            inside = (after > 0) & (after < len(known))
            old = known[after[inside] - 1]
            new = known[after[inside]]
            near = new - old <= most
            at, old, new = gap[inside][near], old[near], new[near]
            value = series[old].astype(np.float64)
            if not self.hold:
                value += (series[new].astype(np.float64) - value) * ((at - old) / (new - old))
            series[at] = value
            if first == 0 and known[0] <= most:
                series[: known[0]] = series[known[0]]
            if first + len(rows) == length and len(rows) - 1 - known[-1] <= most:
                series[known[-1] :] = series[known[-1]]


def slow_channels(
    data: SourceArray, info: ChannelInfo, options: SourceOptions
) -> SlowChannels | None:
    """The slow channels of `data` (S, C) that the options name; None: none is one of its.

    Where no bound is given it is a second, or three times the median distance of the channel's
    values if that is more: as found in 16 places of the signals, the same for every process.

    Raises:
        UserError: the signals are whole numbers.
    """
    columns = tuple(
        at
        for at, name in enumerate(info.channels)
        if any(fnmatchcase(name, glob) for glob in options.slow_channels)
    )
    if not columns:
        return None
    if data.dtype.kind != "f":
        raise SourceError(
            f"source.slow_channels bridges NaN between values, and {data.where} holds "
            f"{data.dtype}, which has none. Leave it out."
        )
    if options.slow_max_gap_s is not None:
        gaps = [int(options.slow_max_gap_s * info.rate_hz + 1e-6)] * len(columns)
    else:
        least = int(LEAST_GAP_S * info.rate_hz + 1e-6)
        gaps = [max(least, PERIODS * each) for each in _median_distances(data, columns)]
    return SlowChannels(columns, tuple(max(1, gap) for gap in gaps), options.slow == "hold")


def _median_distances(data: SourceArray, columns: tuple[int, ...]) -> list[int]:
    """Median rows from one value to the next, rounded up; 0 where no two were seen."""
    total, size = rows_of(data), min(LOOK_ROWS, max(1, 2 * SLICE_BYTES // data.row_bytes))
    starts = np.unique(np.linspace(0, max(0, total - size), LOOKS).astype(np.int64))
    distances: list[list[NDArray[np.int64]]] = [[] for _ in columns]
    for start in starts.tolist():
        rows = data.read(start, min(start + size, total))
        for found, column in zip(distances, columns, strict=True):
            found.append(np.diff(np.flatnonzero(~np.isnan(rows[:, column]))))
    joined = [np.concatenate(found) for found in distances]
    return [int(np.ceil(np.median(found))) if len(found) else 0 for found in joined]
