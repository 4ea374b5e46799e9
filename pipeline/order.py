"""Order of rows in training: epochs, buffers and steps as arithmetic; nothing is ever listed.

An epoch visits the pieces of the training folds (their chunks, those on a fold's border cut) in a
permuted order. A buffer is `buffer_chunks` consecutive pieces of that order, its rows permuted
again. Both permutations are keyed by seed, epoch and buffer, so any row of any epoch is found in
O(1) memory, and a training resumes at (epoch, step) without any saved state.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stores.errors import UserError
from stores.permutation import Bijection, mix_key, permutation

Range = tuple[int, int]
"""Rows [start, stop) of the store."""

_PIECES, _ROWS = 1, 2
"""Keep the keys of the two permutations apart."""


@dataclass(frozen=True)
class Position:
    """Where a training stands: `step` batches of epoch `epoch` are done, both from 0."""

    epoch: int = 0
    step: int = 0


BEGINNING = Position()


@dataclass(frozen=True)
class Order:
    """The order of the training rows of every epoch.

    Attributes:
        ranges: row ranges of the training folds, ascending, without overlap or empty range;
            `merge_ranges` makes them so.
        chunk_windows: rows of a stored chunk; chunk c holds rows from c * chunk_windows.
        buffer_chunks: pieces of a buffer.
        seed: of the training.
    """

    ranges: tuple[Range, ...]
    chunk_windows: int
    buffer_chunks: int
    seed: int

    def __post_init__(self) -> None:
        """Refuse an order of nothing."""
        if not self.ranges:
            raise UserError(
                "The training folds hold no windows. Set split.folds or split.test_fold so that "
                "a fold with windows is left to train on."
            )

    @cached_property
    def rows(self) -> int:
        """Rows of an epoch."""
        return sum(stop - start for start, stop in self.ranges)

    @cached_property
    def pieces(self) -> int:
        """Pieces of an epoch."""
        return int(self._last_pieces[-1])

    @property
    def buffers(self) -> int:
        """Buffers of an epoch; the last may hold fewer pieces."""
        return -(-self.pieces // self.buffer_chunks)

    @property
    def buffer_rows(self) -> int:
        """Most rows of a buffer."""
        return min(self.buffer_chunks * self.chunk_windows, self.rows)

    def steps(self, batch: int, drop_remainder: bool, limit: int | None = None) -> int:
        """Batches of an epoch of `batch` rows, at most `limit`.

        Raises:
            UserError: the partial batch is dropped, and it is the only one.
        """
        steps = self.rows // batch if drop_remainder else -(-self.rows // batch)
        if steps == 0:
            raise UserError(
                f"The training folds hold {self.rows} windows, not one batch of {batch}. Set "
                f"train.batch = {self.rows} or less, or stream.drop_remainder = false."
            )
        return steps if limit is None else min(steps, limit)

    def buffer_ranges(self, epoch: int, buffer: int) -> list[Range]:
        """Row ranges of the pieces of a buffer, in the order they are read."""
        first = buffer * self.buffer_chunks
        places = np.arange(first, min(first + self.buffer_chunks, self.pieces))
        starts, stops = self._piece_rows(self._piece_order(epoch).forward(places))
        return list(zip(starts.tolist(), stops.tolist(), strict=True))

    def row_order(self, epoch: int, buffer: int, rows: int) -> NDArray[np.int64]:
        """Order in which a buffer of `rows` rows delivers them: int64 (rows,)."""
        key = mix_key(self.seed, _ROWS, epoch, buffer)
        return permutation(rows, key).forward(np.arange(rows))

    def buffer_start(self, epoch: int, buffer: int) -> int:
        """Rows that an epoch delivers before a buffer; `buffer` may be one past the last.

        Only the pieces at the ends of a range are short: a full buffer's rows, less what those
        before this buffer lack.
        """
        first = min(buffer * self.buffer_chunks, self.pieces)
        short, lack = self._short_pieces
        before = self._piece_order(epoch).inverse(short) < first
        return first * self.chunk_windows - int(lack[before].sum())

    def locate(self, epoch: int, row: int) -> tuple[int, int]:
        """Buffer that delivers the epoch's row number `row`, and the rows of it that precede.

        `row` may be the epoch's end: then the buffer is one past the last.
        """
        buffer = bisect.bisect_right(
            range(1, self.buffers + 1), row, key=lambda b: self.buffer_start(epoch, b)
        )
        return buffer, row - self.buffer_start(epoch, buffer)

    def _piece_order(self, epoch: int) -> Bijection:
        return permutation(self.pieces, mix_key(self.seed, _PIECES, epoch))

    @cached_property
    def _bounds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        starts, stops = np.array(self.ranges, dtype=np.int64).T
        return starts, stops

    @cached_property
    def _last_pieces(self) -> NDArray[np.int64]:
        """Pieces up to and with each range."""
        starts, stops = self._bounds
        return np.cumsum((stops - 1) // self.chunk_windows - starts // self.chunk_windows + 1)

    @cached_property
    def _short_pieces(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first and last piece of each range, and how many rows each lacks."""
        last = self._last_pieces - 1
        first = np.concatenate([[0], self._last_pieces[:-1]])
        pieces = np.unique(np.concatenate([first, last]))
        starts, stops = self._piece_rows(pieces)
        return pieces, self.chunk_windows - (stops - starts)

    def _piece_rows(self, pieces: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and past-the-last rows of pieces, which are numbered along the ranges."""
        starts, stops = self._bounds
        number = np.searchsorted(self._last_pieces, pieces, side="right")
        from_end = self._last_pieces[number] - 1 - pieces
        chunk = (stops[number] - 1) // self.chunk_windows - from_end
        begin = np.maximum(chunk * self.chunk_windows, starts[number])
        end = np.minimum((chunk + 1) * self.chunk_windows, stops[number])
        return begin, end


def merge_ranges(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Sort ranges that do not overlap, drop empty ones and join neighbours.

    Neighbouring folds then share the chunk on their border: one piece, not two.
    """
    merged: list[Range] = []
    for start, stop in sorted(each for each in ranges if each[0] < each[1]):
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], stop)
        else:
            merged.append((start, stop))
    return tuple(merged)


def first_rows(ranges: Iterable[Range], limit: int | None) -> list[Range]:
    """The first rows of each range, in proportion to its size: `limit` rows, or all if fewer.

    Rows are shuffled within a fold, so these are a fair sample of folds given as ranges.
    """
    kept = [(start, stop) for start, stop in ranges if start < stop]
    sizes = np.array([stop - start for start, stop in kept], dtype=np.int64)
    ends = np.cumsum(sizes)
    if limit is None or not kept or ends[-1] <= limit:
        return kept
    # Differences of rounded-down running shares add up to the limit, none above its range.
    shares = np.diff(ends * limit // ends[-1], prepend=0)
    return [
        (start, start + int(share))
        for (start, _), share in zip(kept, shares, strict=True)
        if share > 0
    ]


def cut_ranges(ranges: Iterable[Range], rows: int) -> list[Range]:
    """Cut ranges, in order, at every multiple of `rows`: each piece is what one read takes.

    A multiple of the chunk makes every read take whole chunks, but for the ends of a range.
    """
    return [
        (max(start, edge), min(stop, edge + rows))
        for start, stop in ranges
        for edge in range(start // rows * rows, stop, rows)
    ]
