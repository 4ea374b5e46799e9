"""Which candidate window stands in which row: folds in order, shuffled within, never listed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import ConfigError
from headrace.stores.layout.fold_index import CountIndex, FoldIndex, FoldOf, RunIndex
from headrace.stores.layout.folds import Fold
from headrace.stores.layout.permutation import mix_key, permutation
from headrace.stores.shards.array_format import MOST_CHUNK_BYTES

WHOLE_CHUNK = 5 / 128
"""Stretches of a chunk for each window that a chunk of windows has: 5 for windows of 6 KiB."""
_BLOCKS, _ROWS = 1, 2
"""What a key shuffles, so that the two shuffles share no key."""

Integers = NDArray[np.int64]
"""(start, stop) -> fold number of each candidate in [start, stop), -1 where it is dropped."""


@dataclass(frozen=True)
class Geometry:
    """Sizes in windows of the units of reading, writing and shuffling.

    Attributes:
        chunk: unit of reading.
        shard: unit of writing, of a task and of recovery; a multiple of `chunk`.
        block: consecutive windows of a fold that are read together and stay in one shard.
        whole: whether the windows of a block stand one after another in the store, and only the
            blocks are shuffled: what they overlap in need not be stored twice.
    """

    chunk: int
    shard: int
    block: int
    whole: bool = False


def make_geometry(
    window_bytes: int,
    chunk: int | None = None,
    shard: int | None = None,
    block: int | None = None,
    widest: int = 0,
    stretch: int = 0,
) -> Geometry:
    """Chosen sizes, else defaults from the window's bytes alone.

    A chunk is the largest power of two of windows within 0.75 MiB (8 to 4,096), a shard 64
    chunks, a block half a chunk: for 128 x 9 float32 128, 8,192 and 64.

    Args:
        window_bytes: of a row of `raw`.
        chunk, shard, block: chosen sizes.
        widest: bytes of a row of another array, if there are more.
        stretch: windows of a block that stand one after another, as they overlap; 0: none do. A
            chunk is then of more windows, as they take a part of their bytes.

    Raises:
        UserError: the shard is no multiple of the chunk, or the chunk too large for its codec.
    """
    fitting = max(1, 3 * 2**18 // max(window_bytes, 1))
    usual = min(4096, max(8, 1 << (fitting.bit_length() - 1)))
    chunk = chunk or (max(1, int(usual * WHOLE_CHUNK)) * stretch if stretch else usual)
    if stretch and block not in (None, stretch):
        raise ConfigError(
            f"A block is a stretch of {stretch} windows: store.block_windows = {block} does not "
            f"fit. Remove it, or set store.stretch_windows = {block}."
        )
    row = max(window_bytes, widest)
    if chunk * row > MOST_CHUNK_BYTES:
        fitting = MOST_CHUNK_BYTES // row
        raise ConfigError(
            f"A chunk of {chunk} windows of {row:,} bytes is larger than its codec can "
            f"hold, {MOST_CHUNK_BYTES:,} bytes. "
            + (
                f"Set store.chunk_windows = {fitting}."
                if fitting
                else "Cut shorter windows: source.window_s."
            )
        )
    shard = shard or 64 * chunk
    if shard % chunk:
        whole = max(1, shard // chunk) * chunk
        raise ConfigError(
            f"A shard is made of whole chunks: store.shard_windows = {shard} is no multiple of "
            f"store.chunk_windows = {chunk}. Set store.shard_windows = {whole}."
        )
    return Geometry(chunk, shard, stretch or block or max(1, chunk // 2), stretch > 0)


@dataclass(frozen=True)
class Segment:
    """Rows [start, stop) of the store that lie in one shard and one fold (number in `folds`)."""

    shard: int
    fold: int
    start: int
    stop: int


@dataclass(frozen=True)
class Recipe:
    """How the rows of one shard are gathered from the source.

    Attributes:
        segments: its segments in row order.
        ranges: (R, 2) candidate windows [start, stop) to read; ascending within a segment.
        order: (n,) row r of the shard is number `order[r]` of what the ranges give, in order.
        blocks: (B,) the first of each block among what the ranges give, ascending.
    """

    segments: tuple[Segment, ...]
    ranges: Integers
    order: Integers
    blocks: Integers

    @property
    def rows(self) -> int:
        """Rows of the shard."""
        return len(self.order)

    @property
    def numbers(self) -> Integers:
        """(n,) the candidates that the ranges give."""
        return np.concatenate([np.arange(low, high) for low, high in self.ranges.tolist()])


@dataclass(frozen=True)
class Layout:
    """The whole arrangement of a store, as arithmetic over a small index.

    Within a fold, candidates are numbered in source order and cut in blocks; a bijection permutes
    the blocks (a last, shorter one stays last), so a shard gathers blocks from everywhere in its
    folds; a second bijection permutes the rows of each segment.
    """

    folds: tuple[Fold, ...]
    geometry: Geometry
    seed: int
    index: FoldIndex

    @property
    def rows(self) -> int:
        """Rows of the store."""
        return self.folds[-1].stop if self.folds else 0

    @property
    def shards(self) -> int:
        """Shards of every array of the store."""
        return -(-self.rows // self.geometry.shard)

    def segments(self, shard: int) -> tuple[Segment, ...]:
        """The segments of `shard` in row order."""
        return shard_segments(self.folds, self.geometry.shard, shard)

    def recipe(self, shard: int, fold_of: FoldOf) -> Recipe:
        """What to read for `shard` and in which order to write it."""
        segments = self.segments(shard)
        ranges, orders, firsts, gathered = [], [], [], 0
        for segment in segments:
            blocks = self._blocks(segment)
            ranges.append(self._source_ranges(segment, blocks, fold_of))
            rows = segment.stop - segment.start
            sizes = blocks[:, 1] - blocks[:, 0]
            by_place = np.argsort(blocks[:, 0])
            first = np.empty(len(blocks), np.int64)
            first[by_place] = gathered + np.cumsum(sizes[by_place]) - sizes[by_place]
            firsts.append(first[by_place])
            if self.geometry.whole:
                before = np.cumsum(sizes) - sizes
                orders.append(np.repeat(first - before, sizes) + np.arange(rows))
            else:
                key = mix_key(self.seed, _ROWS, shard, segment.fold)
                orders.append(gathered + permutation(rows, key).forward(np.arange(rows)))
            gathered += rows
        return Recipe(
            segments, np.concatenate(ranges), np.concatenate(orders), np.concatenate(firsts)
        )

    def places(self, rows: Integers) -> Integers:
        """Where the candidates of some rows (n,) are, fold after fold, in the order of the source.

        Arithmetic: neither the source nor the index is asked.
        """
        order = np.argsort(rows)
        ascending, found = rows[order], np.empty(len(rows), np.int64)
        for shard in np.unique(ascending // self.geometry.shard).tolist():
            for segment in self.segments(shard):
                low, high = np.searchsorted(ascending, [segment.start, segment.stop])
                numbers = self._numbers(segment, ascending[low:high] - segment.start)
                found[order[low:high]] = self.folds[segment.fold].start + numbers
        return found

    def _numbers(self, segment: Segment, at: Integers) -> Integers:
        """(n,) fold-local numbers of the candidates in some rows, counted from the segment's."""
        blocks = self._blocks(segment)
        if not self.geometry.whole:
            key = mix_key(self.seed, _ROWS, segment.shard, segment.fold)
            at = permutation(segment.stop - segment.start, key).forward(at)
            blocks = blocks[np.argsort(blocks[:, 0])]
        ends = np.cumsum(blocks[:, 1] - blocks[:, 0])
        block = np.searchsorted(ends, at, side="right")
        return np.asarray(blocks[block, 1] - ends[block] + at)

    def slot_of_block(self, fold: int, block: Integers) -> Integers:
        """Which place of a fold, counted in blocks, holds each of its blocks."""
        size = self.folds[fold].stop - self.folds[fold].start
        whole, slots = size // self.geometry.block, block.copy()
        inner = block < whole
        key = mix_key(self.seed, _BLOCKS, fold)
        slots[inner] = permutation(whole, key).inverse(block[inner])
        return slots

    def _source_ranges(self, segment: Segment, blocks: Integers, fold_of: FoldOf) -> Integers:
        local = join_ranges(blocks[np.argsort(blocks[:, 0])])
        found = [self.index.ranges(segment.fold, int(a), int(b), fold_of) for a, b in local]
        return join_ranges(np.concatenate(found))

    def _blocks(self, segment: Segment) -> Integers:
        """(B, 2) ranges of fold-local candidate numbers behind the rows of a segment, in order."""
        block, fold = self.geometry.block, self.folds[segment.fold]
        start, stop, size = (each - fold.start for each in (segment.start, segment.stop, fold.stop))
        whole = size // block
        slots = np.arange(start // block, -(-stop // block))
        lows = np.maximum(slots * block, start) - slots * block
        highs = np.minimum(np.minimum((slots + 1) * block, stop), size) - slots * block
        moved = slots.copy()
        inner = slots < whole
        key = mix_key(self.seed, _BLOCKS, segment.fold)
        moved[inner] = permutation(whole, key).forward(slots[inner])
        return np.stack([moved * block + lows, moved * block + highs], axis=1)


def shard_segments(folds: tuple[Fold, ...], shard_rows: int, shard: int) -> tuple[Segment, ...]:
    """The parts of rows [shard * shard_rows, (shard + 1) * shard_rows) that lie in one fold."""
    low, high = shard * shard_rows, (shard + 1) * shard_rows
    return tuple(
        Segment(shard, number, max(low, fold.start), min(high, fold.stop))
        for number, fold in enumerate(folds)
        if fold.start < high and fold.stop > low
    )


def join_ranges(ranges: Integers) -> Integers:
    """Join ascending ranges (R, 2) that touch."""
    if len(ranges) < 2:
        return ranges
    gaps = np.flatnonzero(ranges[1:, 0] != ranges[:-1, 1])
    starts = ranges[np.concatenate([[0], gaps + 1]), 0]
    stops = ranges[np.concatenate([gaps, [len(ranges) - 1]]), 1]
    return np.stack([starts, stops], axis=1)


def build_index(
    windows: int, folds: int, segment: int, runs: Iterable[Integers], fold_of: FoldOf
) -> FoldIndex:
    """The smaller index of the folds of all candidates.

    Where groups stand in stretches, as recordings do, the runs of equal folds are kept; where
    they interleave so that runs outnumber stretches of `segment` windows, counts by stretch.

    Args:
        windows, folds: how many there are.
        segment: windows of a stretch.
        runs: tables (R, 3) of fold, start and stop in the order of the candidates.
        fold_of: reads the fold of every candidate in a range.
    """
    by_run = RunIndex.build(folds, runs, limit=max(1 << 16, windows // segment))
    return by_run if by_run is not None else CountIndex.build(windows, folds, segment, fold_of)
