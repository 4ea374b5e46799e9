"""Rows of a file read at the moments of another file's rows, on a line between two of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceContentError
from headrace.stores.source.arrays import SLICE_BYTES, rows_of
from headrace.stores.source.beside import option_of
from headrace.stores.source.derived.chosen import chosen
from headrace.stores.source.derived.shaped import Shaped
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.names import SLICE_ROWS, slices
from headrace.stores.source.times.stamps import Stamps

INDEX_ROWS = 4096
"""Of a file's rows, of which the time of one is kept."""
MOST_ROWS = 4 * SLICE_ROWS
"""Of a file's own, that are read for a slice of others: a fast file may pause for days."""


@dataclass(frozen=True)
class Moments:
    """The times of a file's rows, in ascending order, of which one in 4,096 is held.

    Attributes:
        stamps: the times.
        heads: time of every 4,096th row, in ticks.
        last: time of the last row.
    """

    stamps: Stamps
    heads: NDArray[Any]
    last: Any

    @property
    def rows(self) -> int:
        """Of the file."""
        return rows_of(self.stamps.array)

    def place(self, tick: Any, side: Literal["left", "right"]) -> int:
        """Where a tick stands among the times, as `numpy.searchsorted` says it."""
        block = max(0, int(np.searchsorted(self.heads, tick, side)) - 1) * INDEX_ROWS
        times = self.stamps.read(block, min(block + INDEX_ROWS, self.rows))
        return block + int(np.searchsorted(times, tick, side))


def moments_of(stamps: Stamps) -> Moments:
    """All times of a file, read once.

    Raises:
        UserError: one is missing, or they go back; says where.
    """
    heads, last = [], None
    for low, high in slices(rows_of(stamps.array), 16 * INDEX_ROWS):
        times = stamps.read(low, high)
        before = times[:1] if last is None else np.array([last])
        back = np.flatnonzero(np.diff(np.concatenate([before, times])) < 0)
        if len(back):
            row = int(back[0])
            raise SourceContentError(
                f"The times of {stamps.where} go back in row {low + row:,}, to {times[row]}; what "
                "stands beside it has other times, by which the two are joined. Sort its rows by "
                'time; or set source.time = "" and source.rates_hz to join them by their rates.'
            )
        heads.append(times[::INDEX_ROWS])
        last = times[-1]
    return Moments(stamps, np.concatenate(heads), last)


class _Retimed(Shaped):
    """What arrays at other times have in common: their file's rate is no longer theirs."""

    def attribute(self, name: str) -> Any | None:
        """The array's, but for its rate."""
        return None if name == "sampling_rate_hz" else self._array.attribute(name)

    def attributes(self) -> list[Mapping[str, Any]]:
        """Those of the array, but for its rate."""
        return [
            {name: value for name, value in each.items() if option_of(name) != "rate_hz"}
            for each in self._array.attributes()
        ]


class Part(_Retimed):
    """Rows `first` to `stop` of an array."""

    def __init__(self, array: SourceArray, first: int, stop: int) -> None:
        """Rows of `array`."""
        super().__init__(array, (stop - first, *(array.shape or ())[1:]))
        self._first, self._stop = first, stop

    def ready(self) -> Part:
        """See `SourceArray`."""
        return Part(self._array.ready(), self._first, self._stop)

    def chosen(self, channels: Sequence[int]) -> Part:
        """Some channels of several."""
        return Part(chosen(self._array, channels), self._first, self._stop)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        start, stop, _ = slice(start, stop).indices(rows_of(self))
        return self._array.read(self._first + start, self._first + stop)

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Rows `start` to `stop`, of texts."""
        start, stop, _ = slice(start, stop).indices(rows_of(self))
        return self._array.texts(self._first + start, self._first + stop)

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """The array's."""
        return self._array.byte_spans(self._first + low, self._first + high)


class AtMoments(_Retimed):
    """An array at the times of another file's rows: no value depends on which are read.

    Numbers lie on a line between two rows, as `numpy.interp` has them; NaN where these are further
    apart than `gap`. Or the earlier row stands until the next, which is all that texts can do.
    """

    def __init__(
        self, array: SourceArray, own: Moments, at: Stamps, hold: bool, gap: float
    ) -> None:
        """Rows of `array` as seen at other times.

        Args:
            array: (S, ...).
            own: times of its rows.
            at: times to read it at, none before the first of its own or after the last.
            hold: the earlier row stands until the next.
            gap: the widest step that is bridged, in ticks.
        """
        super().__init__(array, (rows_of(at.array), *(array.shape or ())[1:]))
        self._own, self._at, self._hold, self._gap = own, at, hold, gap
        if not hold and array.dtype.kind != "f":
            self.dtype = np.dtype(np.float64)
        times = (own.stamps.array, at.array)
        self.cache_bytes += own.heads.nbytes + sum(each.cache_bytes for each in times)
        self.decode_bytes += 4 * SLICE_BYTES + max(each.decode_bytes for each in times)
        self.piece_rows = at.array.piece_rows

    def ready(self) -> AtMoments:
        """See `SourceArray`."""
        return AtMoments(self._array.ready(), self._own, self._at, self._hold, self._gap)

    def chosen(self, channels: Sequence[int]) -> AtMoments:
        """Some channels of several."""
        array = chosen(self._array, channels)
        return AtMoments(array, self._own, self._at, self._hold, self._gap)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        start, stop, _ = slice(start, stop).indices(rows_of(self))
        out = np.empty((max(0, stop - start), *(self.shape or ())[1:]), self.dtype)
        for low, high, *span in self._spans(start, stop):
            out[low - start : high - start] = self._read(low, high, *span)
        return out

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Rows `start` to `stop`, of texts."""
        start, stop, _ = slice(start, stop).indices(rows_of(self))
        if stop <= start:
            return np.empty(0, np.str_)
        parts = []
        for low, high, first, last in self._spans(start, stop):
            row, _ = self._rows(low, high, first, last)
            parts.append(self._array.texts(first, first + int(row[-1]) + 1)[row])
        return np.concatenate(parts)

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """None: rows are found by their times."""
        return iter(())

    def _read(self, start: int, stop: int, first: int, last: int) -> NDArray[Any]:
        row, times = self._rows(start, stop, first, last)
        if self._hold:
            return self._array.read(first, first + int(row[-1]) + 1)[row]
        values = self._array.read(first, first + len(times)).astype(np.float64)
        after = np.minimum(row + 1, len(times) - 1)
        step = (times[after] - times[row]).astype(np.float64)
        past = (self._at.read(start, stop) - times[row]).astype(np.float64)
        found = values[row]
        between = np.flatnonzero(past > 0)
        across = [1] * (values.ndim - 1)
        part = (past[between] / step[between]).reshape(-1, *across)
        with np.errstate(over="ignore", invalid="ignore"):
            found[between] += (values[after[between]] - found[between]) * part
        found[between[step[between] > self._gap]] = np.nan
        return found

    def _spans(self, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
        """Slices of the rows `start` to `stop`, each with the first and last of its own it needs.

        These go from the row at or before the first time to the one at or after the last. A slice
        that needs more than `MOST_ROWS` is halved, to that where the other file pauses.
        """
        waiting = [(start + low, start + high) for low, high in slices(stop - start)][::-1]
        while waiting:
            low, high = waiting.pop()
            at = self._at.read(low, low + 1)[0], self._at.read(high - 1, high)[0]
            first = max(0, self._own.place(at[0], "right") - 1)
            last = max(first + 1, min(self._own.place(at[1], "left") + 1, self._own.rows))
            if last - first > MOST_ROWS and high - low > 1:
                middle = (low + high) // 2
                waiting += [(middle, high), (low, middle)]
            else:
                yield low, high, first, last

    def _rows(
        self, start: int, stop: int, first: int, last: int
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Which of its own rows from `first` is at or before each time; and times to `last`."""
        times = self._own.stamps.read(first, last)
        return np.searchsorted(times, self._at.read(start, stop), "right") - 1, times
