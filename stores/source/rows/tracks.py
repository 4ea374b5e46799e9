"""What is done to rows of one recording at one rate, in its order, before they are delivered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import check_signal_dtype
from headrace.stores.source.channels import ChannelInfo
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.rows.filters import (
    Filters,
    check_filtered,
    make_filters,
    require_channels,
)
from headrace.stores.source.rows.means import Means, Rows
from headrace.stores.source.rows.slow_channels import SlowChannels, slow_channels

FLOAT64_BYTES = 8
Marks = NDArray[np.bool_]


class Change(Protocol):
    """A change of rate; see `Ratio`."""

    def support(self, first: int, stop: int) -> tuple[int, int]:
        """Rows that rows `first` to `stop` as delivered are computed from."""
        ...

    def resample(
        self, rows: NDArray[np.float64], support_first: int, first: int, stop: int
    ) -> NDArray[np.float32]:
        """(stop - first, C) from the rows of their support."""
        ...

    def reached(self, marked: Marks, support_first: int, first: int, stop: int) -> Marks:
        """Which of them a marked row (n,) of their support reaches."""
        ...


@dataclass(frozen=True)
class Track:
    """Channels of one rate, as stored, and the steps to what is delivered.

    Gaps of slow channels are bridged; what is not finite is filled; then values are brought to
    units, less the recording's mean, filtered and resampled. Without a step but the first two,
    rows are delivered as stored.

    Attributes:
        dtype: of the stored values, in native byte order.
        scale, offset: (C,) factors to units, and what is added then.
        fill: (C,) replaces NaN and infinity as stored; None keeps them.
        slow, means, filters: what bridges gaps, the means to remove, and filters; None without.
        in_units: rows are delivered as float32 in units.
    """

    dtype: np.dtype[Any]
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    fill: NDArray[np.float64] | None
    slow: SlowChannels | None
    means: Means | None
    filters: Filters | None
    in_units: bool

    @property
    def channels(self) -> int:
        """C."""
        return len(self.scale)

    @property
    def row_bytes(self) -> int:
        """Of a row as stored."""
        return self.channels * self.dtype.itemsize

    @property
    def by_recording(self) -> bool:
        """Whether rows depend on others of their recording."""
        return self.in_units or self.slow is not None

    @property
    def nbytes(self) -> int:
        """Bytes of what is held of recordings: their means."""
        return 0 if self.means is None else self.means.nbytes

    def span(self, change: Change | None, rows: int, low: int, high: int) -> tuple[int, int]:
        """Stored rows `(start, stop)` of a recording of `rows` that `low` to `high` are made of."""
        for step in (change, self.filters, self.slow):
            if step is not None:
                low, high = _inside(*step.support(low, high), rows)
        return low, high

    def read(
        self,
        stored: Rows,
        recording: int,
        rows: int,
        change: Change | None,
        low: int,
        high: int,
        marks: bool,
    ) -> tuple[NDArray[Any], Marks | None]:
        """Rows `low` to `high` as delivered.

        Args:
            stored: reads rows of the recording.
            recording: its number.
            rows: how many it has.
            change: of rate; None delivers them at their own.
            low: first row, at the delivered rate.
            high: row to stop before.
            marks: mark what NaN or infinity went into.

        Returns:
            (high - low, C) in the delivered type, and (high - low,) bool; None where that cannot
            be or is not asked for.
        """
        first, stop = (low, high) if change is None else change.support(low, high)
        start, end = _inside(first, stop, rows)
        if not self.in_units:
            values, bad = self._stored(stored, rows, start, end)
            if bad is None and marks and self.dtype.kind == "f":
                bad = ~np.isfinite(values)
            return values, None if bad is None else np.asarray(bad.any(axis=1))
        values, bad = self._filtered(stored, recording, rows, start, end)
        padded = _edged(values, start, first, stop)
        if change is not None:
            delivered = change.resample(padded, first, low, high)
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                delivered = padded.astype(np.float32)
        if not marks:
            return delivered, None
        # Large values can pass what float32 holds: that is infinity in the store.
        marked = ~np.asarray(np.isfinite(delivered).all(axis=1))
        for one in () if bad is None else _edged(bad, start, first, stop).T:
            marked |= one if change is None else change.reached(one, first, low, high)
        return delivered, marked

    def require_length(self, rows: NDArray[np.int64], where: str) -> None:
        """Check that recordings of so many rows are as long as the filter.

        Raises:
            UserError: some are not.
        """
        taps = 0 if self.filters is None else self.filters.taps
        short = rows[rows < taps]
        if len(short):
            raise SourceError(
                f"{len(short)} of {len(rows)} recordings of {where} are shorter than "
                f"source.filter, which spans {taps} rows; the shortest has {int(short.min())}: "
                "most of it would be made up. Set a larger width_hz, which shortens the filter in "
                "proportion, or leave those recordings out."
            )

    def held_bytes(self, change: Change | None, rows: int, longest: int) -> int:
        """Most bytes that reading so many delivered rows holds; `longest` recordings' rows."""
        spans, low, high = [rows], 0, rows
        for step in (change, self.filters, self.slow):
            if isinstance(step, Filters):
                # Where a row lies in its block is not known: one more may be needed.
                high += step.block - 1
            if step is not None:
                low, high = step.support(low, high)
            spans.append(high - low)
        delivered, filtered, units, stored = spans
        if self.slow is not None:
            stored = min(stored, max(units, longest))
        # Each slow channel takes its gaps' rows, neighbours and values for a moment.
        bridging = stored * 64 * (self.slow is not None)
        if not self.in_units:
            return (rows + stored) * self.row_bytes + bridging
        row = self.channels * FLOAT64_BYTES
        # Where what is filled goes: as bool, and counted for one channel at a time.
        filled = units * (3 * self.channels + 4 * FLOAT64_BYTES) * (self.fill is not None)
        # Stored rows, padded float64 rows and their transpose; the result in float64 and float32.
        held = stored * self.row_bytes + 3 * filtered * row + 2 * delivered * row
        if self.filters is not None:
            block = self.filters.block_bytes + self.filters.nbytes + 4 * units * FLOAT64_BYTES
            filtering = stored * self.row_bytes + (2 * units + filtered) * row + block
            held = max(held - stored * self.row_bytes + self.filters.nbytes, filtering)
        return held + filled + bridging

    def _filtered(
        self, stored: Rows, recording: int, rows: int, low: int, high: int
    ) -> tuple[NDArray[np.float64], Marks | None]:
        if self.filters is None:
            return self._units(stored, recording, rows, low, high)
        first, stop = self.filters.support(low, high)
        start, end = _inside(first, stop, rows)
        values, bad = self._units(stored, recording, rows, start, end)
        filtered = self.filters.apply(_edged(values, start, first, stop), first, low, high)
        if bad is None:
            return filtered, None
        return filtered, self.filters.reached(_edged(bad, start, first, stop), first, low, high)

    def _units(
        self, stored: Rows, recording: int, rows: int, low: int, high: int
    ) -> tuple[NDArray[np.float64], Marks | None]:
        """Float64 in units, less the recording's mean; and what was filled."""
        found, bad = self._stored(stored, rows, low, high)
        values = found.astype(np.float64)
        if self.means is not None:
            values -= self.means.of(recording, rows, stored)
        with np.errstate(over="ignore", invalid="ignore"):
            values *= self.scale
        if self.means is None and self.offset.any():
            values += self.offset
        return values, bad

    def _stored(
        self, stored: Rows, rows: int, low: int, high: int
    ) -> tuple[NDArray[Any], Marks | None]:
        """Rows as stored, without gaps in slow channels; and (n, C) what was filled, if any."""
        if self.slow is None:
            values = stored(low, high)
        else:
            first, stop = _inside(*self.slow.support(low, high), rows)
            around = stored(first, stop)
            self.slow.bridge(around, first, rows)
            values = np.ascontiguousarray(around[low - first : high - first])
        if self.dtype.kind != "f" or self.fill is None:
            return values, None
        bad = ~np.isfinite(values)
        if not bad.any():
            return values, None
        np.copyto(values, self.fill, where=bad, casting="same_kind")
        return values, bad


def check_channels(options: SourceOptions, channels: Sequence[str]) -> None:
    """Check that the channels that the steps are for are there.

    Raises:
        UserError: a pattern matches none.
    """
    check_filtered(options.filter, channels)
    require_channels(options.slow_channels, channels, "source.slow_channels")


def make_track(
    data: SourceArray,
    info: ChannelInfo,
    options: SourceOptions,
    recordings: int,
    in_units: bool,
) -> Track:
    """The steps that the options name for `data` (S, C).

    Args:
        data, info: the signals, and what is said of their channels.
        options: for the steps.
        recordings: how many there are.
        in_units: rows are to be in units in any case.

    Raises:
        UserError: see `make_filters` and `slow_channels`.
    """
    filters = make_filters(options.filter, info.channels, info.rate_hz, data.where)
    return Track(
        check_signal_dtype(data),
        info.scale,
        info.offset,
        info.as_read(options.fill_value) if options.non_finite == "fill" else None,
        slow_channels(data, info, options),
        Means(recordings, len(info.channels)) if options.remove_mean else None,
        filters,
        in_units or options.remove_mean or filters is not None,
    )


def _inside(low: int, high: int, rows: int) -> tuple[int, int]:
    """What there is of rows `low` to `high`: at least the nearest to them."""
    low = min(max(low, 0), rows - 1)
    return low, max(min(high, rows), low + 1)


def _edged(rows: NDArray[Any], start: int, first: int, stop: int) -> NDArray[Any]:
    """Rows `first` to `stop` of a recording of which `rows`, from `start` on, is what there is.

    Before the first of them stands the first, after the last the last.
    """
    if (first, stop) == (start, start + len(rows)):
        return rows
    edged: NDArray[Any] = rows[np.clip(np.arange(first, stop) - start, 0, len(rows) - 1)]
    return edged
