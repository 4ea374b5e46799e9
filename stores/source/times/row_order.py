"""Rows of signals in another order, or some of them: as runs of rows that follow each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.arrays import SLICE_BYTES
from headrace.stores.source.derived.shaped import Shaped
from headrace.stores.source.interface import SourceArray

READ_OVER = 4
"""Rows of a span that are read for each that is wanted, at most."""


@dataclass(frozen=True)
class RowOrder:
    """Which rows of the signals come one after another.

    Attributes:
        start: (k,) int64, first row of each run, in the signals as they are stored.
        before: (k + 1,) int64, rows of the runs before each.
    """

    start: NDArray[np.int64]
    before: NDArray[np.int64]

    def stored(self, start: int, stop: int) -> NDArray[np.int64]:
        """The stored rows of the ordered rows `start` to `stop`."""
        return self.of(np.arange(start, stop, dtype=np.int64))

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The stored rows of ordered rows."""
        run = np.searchsorted(self.before, rows, side="right") - 1
        found: NDArray[np.int64] = self.start[run] + rows - self.before[run]
        return found


def order_of(runs: Sequence[NDArray[np.int64]]) -> RowOrder:
    """The order that stretches of rows have, each (n, 2): first row, and the one after the last."""
    spans = np.concatenate([np.zeros((0, 2), np.int64), *runs])
    before = np.concatenate(([0], np.cumsum(spans[:, 1] - spans[:, 0])))
    return RowOrder(spans[:, 0].copy(), before.astype(np.int64))


def runs_of(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows, in whatever order, as runs (k, 2) of those that follow each other."""
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    heads = np.concatenate(([0], breaks)) if len(rows) else np.zeros(0, np.int64)
    stops = np.append(breaks, len(rows))[: len(heads)]
    return np.stack([rows[heads], rows[stops - 1] + 1], axis=1).astype(np.int64)


class Ordered(Shaped):
    """Rows of an array in a `RowOrder`; see `SourceArray`."""

    def __init__(self, array: SourceArray, order: RowOrder) -> None:
        """`array` as it is stored."""
        super().__init__(array, (int(order.before[-1]), *(array.shape or (0,))[1:]))
        self._order = order
        self.cache_bytes += order.start.nbytes + order.before.nbytes
        self.decode_bytes += READ_OVER * SLICE_BYTES

    def ready(self) -> Ordered:
        """See `SourceArray`."""
        return Ordered(self._array.ready(), self._order)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        out = np.empty((stop - start, *(self.shape or (0,))[1:]), self.dtype)
        self.read_into(out, start)
        return out

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` with the rows from `start` on."""
        rows = self._order.stored(start, start + len(out))
        for first, stop, low, high in _spans(rows):
            if high - low == stop - first and (rows[first:stop] == np.arange(low, high)).all():
                self._array.read_into(out[first:stop], low)
            else:
                out[first:stop] = self._array.read(low, high)[rows[first:stop] - low]

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Rows `start` to `stop`, of texts."""
        rows = self._order.stored(start, stop)
        found = [np.empty(0, np.str_)]
        for first, end, low, high in _spans(rows):
            found.append(self._array.texts(low, high)[rows[first:end] - low])
        return np.concatenate(found)

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """The array's."""
        for _, _, first, stop in _spans(self._order.stored(low, high)):
            yield from self._array.byte_spans(first, stop)


def _spans(rows: NDArray[np.int64], at: int = 0) -> Iterator[tuple[int, int, int, int]]:
    """Positions `first` to `stop` of `rows`, and the span `low` to `high` that is read for them."""
    if len(rows) == 0:
        return
    low, high = int(rows.min()), int(rows.max()) + 1
    if len(rows) == 1 or high - low <= READ_OVER * len(rows):
        yield at, at + len(rows), low, high
        return
    half = len(rows) // 2
    yield from _spans(rows[:half], at)
    yield from _spans(rows[half:], at + half)
