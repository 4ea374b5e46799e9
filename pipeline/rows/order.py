"""Order of rows in training: epochs, buffers and steps as arithmetic; nothing is ever listed.

An epoch visits the pieces of the training folds: their chunks, those on a fold's border cut. The
pieces, in the order of the store, are cut in as many equal stretches as a buffer has pieces, and a
buffer takes one piece of each stretch, in an order permuted by epoch and stretch: so every buffer
holds all folds in proportion. Its rows are permuted again. All permutations are keyed, so any row
of any epoch is found in O(1) memory, and a training resumes at (epoch, step) without saved state.

Ranks share an epoch in rounds of one buffer each. A round takes as many pieces of each stretch as
there are ranks, and every rank an equal part of their rows: a whole piece, unless one of them is
short or the last round has fewer. Then pieces are cut between ranks, and a rank reads up to two
chunks of a stretch for less than a chunk of rows.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headrace.pipeline.rows.ranges import Range, merge_ranges, part_origins
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
STRETCHED_CHUNKS = 128
"""The same where windows of a stretch stand together: 640 stretches in chunks of 5.

Independent are stretches, and not their windows; a buffer takes a third of the bytes of raw that
one of 32 chunks of windows takes.
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
        chunk_windows: rows of a stored chunk; chunk c of a part holds the part's rows from
            c * chunk_windows.
        buffer_chunks: pieces of a buffer.
        seed: of the training.
        rank: which of the consumers of one training this order is for, from 0.
        ranks: their number. Their rows are disjoint and together the epoch, and as many for each,
            but for one row.
        part_starts: first row of each part of the store; no range is of two.
    """

    ranges: tuple[Range, ...]
    chunk_windows: int
    buffer_chunks: int
    seed: int
    rank: int = 0
    ranks: int = 1
    part_starts: tuple[int, ...] = (0,)

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
        """Rows of an epoch for this rank."""
        return self.buffer_start(epoch, self.buffers)

    @cached_property
    def pieces(self) -> int:
        """Pieces of an epoch, of all ranks together."""
        return int(self._last_pieces[-1])

    @cached_property
    def buffers(self) -> int:
        """Buffers of an epoch for this rank; the last may be smaller, or empty with ranks."""
        return int(-(-self._sizes.max() // self.ranks))

    @property
    def buffer_rows(self) -> int:
        """Most rows of a buffer."""
        return min(self.buffer_chunks * self.chunk_windows, self.rows)

    def steps(self, batch: int, drop_remainder: bool, limit: int | None = None) -> int:
        """Batches of an epoch of `batch` rows, at most `limit`.

        With several ranks the most that one has, or with `drop_remainder` as many as each has:
        then all can step together.

        Raises:
            UserError: the partial batch is dropped, and it is the only one.
        """
        rows, rest = divmod(self.rows, self.ranks)
        steps = rows // batch if drop_remainder else -(-(rows + (rest > 0)) // batch)
        if steps <= 0:
            raise self._too_few(batch)
        return steps if limit is None else min(steps, limit)

    def _too_few(self, batch: int) -> GroupError:
        least = f"The training folds hold {self.rows} windows, not one batch of {batch}"
        if self.ranks == 1:
            return GroupError(
                f"{least}. Set train.batch = {self.rows} or less, or stream.drop_remainder = false."
            )
        ways = {"batch": self.rows // self.ranks, "ranks": self.rows // batch}
        advice = [f"{name} = {most} or less" for name, most in ways.items() if most > 0]
        return GroupError(f"{least} for each of {self.ranks} ranks. Set {', or '.join(advice)}.")

    def buffer_ranges(self, epoch: int, buffer: int) -> list[Range]:
        """Row ranges of the pieces of a buffer, in the order they are read."""
        first = buffer * self.ranks
        counts = (self._sizes - first).clip(0, self.ranks)
        stretches = np.repeat(np.arange(self.buffer_chunks), counts)
        ends = np.cumsum(counts)
        places = first + np.arange(ends[-1]) - (ends - counts)[stretches]
        pieces = self._stretches[stretches] + self._stretch_orders(epoch).forward(places, stretches)
        starts, stops = self._piece_rows(pieces)
        if self.ranks > 1:
            starts, stops = self._own_rows(epoch, first, counts, starts, stops)
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
        """Rows that an epoch delivers before a buffer; `buffer` may be one past the last."""
        return int(np.diff(self._dealt(self._rows_before(epoch, buffer * self.ranks), epoch))[0])

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

    @cached_property
    def _sizes(self) -> NDArray[np.int64]:
        """Pieces of each stretch."""
        return np.diff(self._stretches)

    def _rows_before(self, epoch: int, place: int) -> int:
        """Rows of all ranks in the first `place` pieces of every stretch.

        Only the pieces at the ends of a range are short: the rows of as many full pieces, less
        what those among them lack.
        """
        taken = int(np.minimum(place, self._sizes).sum())
        short, lack = self._short_pieces
        stretches = np.searchsorted(self._stretches, short, side="right") - 1
        inside = short - self._stretches[stretches]
        before = self._stretch_orders(epoch).inverse(inside, stretches) < place
        return taken * self.chunk_windows - int(lack[before].sum())

    def _own_rows(
        self,
        epoch: int,
        first: int,
        counts: NDArray[np.int64],
        starts: NDArray[np.int64],
        stops: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of the pieces of a round, `counts` of each stretch, the rows that are this rank's."""
        # Rows are numbered along the rounds, those of all ranks.
        edges = self._rows_before(epoch, first) + np.cumsum([0, *(stops - starts)])
        last = np.cumsum(counts)
        low, high = edges[last - counts], edges[last]
        own = low + self._dealt(high, epoch) - self._dealt(low, epoch)
        begin, end = np.repeat(own, counts, axis=1).clip(edges[:-1], edges[1:])
        taken, shift = begin < end, starts - edges[:-1]
        return (begin + shift)[taken], (end + shift)[taken]

    def _dealt(self, rows: int | NDArray[np.int64], epoch: int) -> NDArray[np.int64]:
        """Of the first `rows` rows those of the ranks before this one, and of it too: (2, ...).

        Rows are counted as if dealt one by one, so ranks differ by one row wherever an epoch stops.
        Ranks take turns from epoch to epoch: each sees all rows even where pieces stay in place.
        """
        turn = (self.rank + epoch) % self.ranks
        whole, rest = np.divmod(rows, self.ranks)
        parts = np.array([turn, turn + 1])
        return np.asarray(np.multiply.outer(parts, whole) + np.minimum.outer(parts, rest))

    @cached_property
    def _bounds(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Start and stop of each range within its part, and where the part begins."""
        starts, stops = np.array(self.ranges, dtype=np.int64).T
        origins = part_origins(starts, self.part_starts)
        return starts - origins, stops - origins, origins

    @cached_property
    def _last_pieces(self) -> NDArray[np.int64]:
        """Pieces up to and with each range."""
        starts, stops, _ = self._bounds
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
        starts, stops, origins = self._bounds
        number = np.searchsorted(self._last_pieces, pieces, side="right")
        from_end = self._last_pieces[number] - 1 - pieces
        chunk = (stops[number] - 1) // self.chunk_windows - from_end
        begin = np.maximum(chunk * self.chunk_windows, starts[number])
        end = np.minimum((chunk + 1) * self.chunk_windows, stops[number])
        return begin + origins[number], end + origins[number]


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
        ranges=merge_ranges(fold_ranges(store, folds), store.part_starts),
        chunk_windows=store.chunk_windows,
        buffer_chunks=buffer_chunks(config.stream, store.manifest.stretch),
        seed=config.train.seed,
        rank=rank,
        ranks=ranks,
        part_starts=store.part_starts,
    )


def buffer_chunks(options: StreamOptions, stretch: int = 0) -> int:
    """Chunks read together and shuffled as one buffer, of a store with so large a `stretch`."""
    return options.buffer_chunks or (STRETCHED_CHUNKS if stretch else BUFFER_CHUNKS)
