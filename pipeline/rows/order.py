"""Order of rows in training: epochs, buffers and steps as arithmetic; nothing is ever listed.

An epoch visits the pieces of the training folds: their chunks, those on a fold's border cut. The
pieces, in the order of the store, are cut in as many equal stretches as a buffer has pieces, and a
buffer takes one piece of each stretch, in an order permuted by epoch and stretch: so every buffer
holds all folds in proportion. Its rows are permuted again. All permutations are keyed, so any row
of any epoch is found in O(1) memory, and a training resumes at (epoch, step) without saved state.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headrace.pipeline.rows.ranges import Range, merge_ranges
from headrace.pipeline.rows.split import fold_ranges
from headrace.stores.errors import GroupError
from headrace.stores.layout.permutation import Bijections, mix_key, permutation, permutations

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.config.sections import StreamOptions
    from headrace.stores import Store

BUFFER_CHUNKS = 32
"""Chunks of a buffer unless the config says otherwise: 4,096 windows in chunks of 128.

The groups of a batch are as mixed as by independent draws, to 0.3 %, with 32 chunks of 128; with
16 of 256 to 1.4 % (300,000 windows of 20 groups in 10 folds).
"""
_PIECES, _ROWS, _DRAWS = 1, 2, 3
"""Keep the keys of the permutations and of the draws apart."""


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
        rank: which of the consumers of one training this order is for, from 0.
        ranks: their number. They share the pieces of each stretch of an epoch: rows are disjoint,
            and together the epoch.
    """

    ranges: tuple[Range, ...]
    chunk_windows: int
    buffer_chunks: int
    seed: int
    rank: int = 0
    ranks: int = 1

    def __post_init__(self) -> None:
        """Refuse an order of nothing, and a rank that is none."""
        if not 0 <= self.rank < self.ranks:
            raise ValueError(f"rank = {self.rank} is not within 0 to {self.ranks - 1}.")
        if not self.ranges:
            raise GroupError(
                "The training folds hold no windows. Set split.folds or split.test_fold so that "
                "a fold with windows is left to train on."
            )

    @cached_property
    def rows(self) -> int:
        """Rows of an epoch, of all ranks together."""
        return sum(stop - start for start, stop in self.ranges)

    def rank_rows(self, epoch: int) -> int:
        """Rows of an epoch for this rank: its share, but for a few pieces more or less."""
        return self.buffer_start(epoch, self.buffers)

    @cached_property
    def pieces(self) -> int:
        """Pieces of an epoch, of all ranks together."""
        return int(self._last_pieces[-1])

    @cached_property
    def buffers(self) -> int:
        """Buffers of an epoch for this rank; the last may hold fewer pieces."""
        return int(self._shares.max())

    @property
    def buffer_rows(self) -> int:
        """Most rows of a buffer."""
        return min(self.buffer_chunks * self.chunk_windows, self.rows)

    def steps(self, batch: int, drop_remainder: bool, limit: int | None = None) -> int:
        """Batches of an epoch of `batch` rows, at most `limit`.

        With several ranks the most that one may have, or with `drop_remainder` as many as each has
        in every epoch: then all can step together.

        Raises:
            UserError: the partial batch is dropped, and it is the only one.
        """
        rows = self.rows
        if self.ranks > 1:
            pieces = [int(self._shares_of(rank).sum()) for rank in range(self.ranks)]
            lack = int(self._short_pieces[1].sum())
            least, most = (count * self.chunk_windows for count in (min(pieces), max(pieces)))
            rows = least - lack if drop_remainder else min(most, rows)
        steps = rows // batch if drop_remainder else -(-rows // batch)
        if steps <= 0:
            raise GroupError(
                f"The training folds hold {self.rows} windows, not one batch of {batch}"
                f"{' for each rank' if self.ranks > 1 else ''}. Set train.batch = "
                f"{max(rows, 1)} or less, or stream.drop_remainder = false."
            )
        return steps if limit is None else min(steps, limit)

    def buffer_ranges(self, epoch: int, buffer: int) -> list[Range]:
        """Row ranges of the pieces of a buffer, in the order they are read."""
        stretches = np.flatnonzero(buffer < self._shares)
        places = buffer * self.ranks + self._offsets_of(self.rank)[stretches]
        pieces = self._stretches[stretches] + self._stretch_orders(epoch).forward(places, stretches)
        starts, stops = self._piece_rows(pieces)
        return list(zip(starts.tolist(), stops.tolist(), strict=True))

    def row_order(self, epoch: int, buffer: int, rows: int) -> NDArray[np.int64]:
        """Order in which a buffer of `rows` rows delivers them: int64 (rows,)."""
        key = mix_key(self.seed, _ROWS, epoch, buffer * self.ranks + self.rank)
        return permutation(rows, key).forward(np.arange(rows))

    def draw_offset(self, epoch: int, buffer: int) -> float:
        """Chance of a buffer in [0, 1), for `Sampling.draw`."""
        key = mix_key(self.seed, _DRAWS, epoch, buffer * self.ranks + self.rank)
        return (key >> 11) * 2.0**-53

    def buffer_start(self, epoch: int, buffer: int) -> int:
        """Rows that an epoch delivers before a buffer; `buffer` may be one past the last.

        Only the pieces at the ends of a range are short: a full buffer's rows, less what those
        before this buffer lack.
        """
        taken = int(np.minimum(buffer, self._shares).sum())
        short, lack = self._short_pieces
        stretches = np.searchsorted(self._stretches, short, side="right") - 1
        inside = short - self._stretches[stretches]
        number, rank = np.divmod(self._stretch_orders(epoch).inverse(inside, stretches), self.ranks)
        before = (rank == self._offsets_of(self.rank)[stretches]) & (number < buffer)
        return taken * self.chunk_windows - int(lack[before].sum())

    def locate(self, epoch: int, row: int) -> tuple[int, int]:
        """Buffer that delivers the epoch's row number `row`, and the rows of it that precede.

        `row` may be the epoch's end: then the buffer is one past the last.
        """
        buffer = bisect.bisect_right(
            range(1, self.buffers + 1), row, key=lambda b: self.buffer_start(epoch, b)
        )
        return buffer, row - self.buffer_start(epoch, buffer)

    def _stretch_orders(self, epoch: int) -> Bijections:
        return _orders(self.pieces, self.buffer_chunks, self.seed, epoch)

    @cached_property
    def _stretches(self) -> NDArray[np.int64]:
        """First piece of each stretch, and the number of pieces."""
        return _stretch_edges(self.pieces, self.buffer_chunks)

    def _offsets_of(self, rank: int) -> NDArray[np.int64]:
        """Which of every `ranks` places of a stretch are this rank's: another in each stretch."""
        return (rank + np.arange(self.buffer_chunks)) % self.ranks

    def _shares_of(self, rank: int) -> NDArray[np.int64]:
        """Pieces of each stretch that a rank takes."""
        return -(-(np.diff(self._stretches) - self._offsets_of(rank)) // self.ranks).clip(max=0)

    @cached_property
    def _shares(self) -> NDArray[np.int64]:
        return self._shares_of(self.rank)

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


def _stretch_edges(pieces: int, stretches: int) -> NDArray[np.int64]:
    return np.arange(stretches + 1) * pieces // stretches


@lru_cache(maxsize=8)
def _orders(pieces: int, stretches: int, seed: int, epoch: int) -> Bijections:
    """The orders of the stretches in an epoch; kept, as every buffer of the epoch asks."""
    keys = [mix_key(seed, _PIECES, epoch, stretch) for stretch in range(stretches)]
    return permutations(np.diff(_stretch_edges(pieces, stretches)), keys)


def training_order(
    store: Store, folds: Sequence[str], config: Config, rank: int = 0, ranks: int = 1
) -> Order:
    """Order in which a training, or one of its ranks, visits the rows of its folds.

    Raises:
        UserError: the folds hold no windows.
    """
    return Order(
        ranges=merge_ranges(fold_ranges(store, folds)),
        chunk_windows=store.chunk_windows,
        buffer_chunks=buffer_chunks(config.stream),
        seed=config.train.seed,
        rank=rank,
        ranks=ranks,
    )


def buffer_chunks(options: StreamOptions) -> int:
    """Chunks read together and shuffled as one buffer."""
    return options.buffer_chunks or BUFFER_CHUNKS
