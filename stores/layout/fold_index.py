"""Where in the source the candidates of a fold are: by runs, or by counts where they interleave."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
FoldOf = Callable[[int, int], Integers]
SLICE = 1 << 18
"""Candidates whose groups are read at a time: 2 MiB of numbers."""


class FoldIndex(Protocol):
    """Finds candidates [start, stop) of a fold, numbered within the fold in source order."""

    def ranges(self, fold: int, start: int, stop: int, fold_of: FoldOf) -> Integers:
        """(R, 2) ascending ranges of candidate numbers, together `stop - start` windows."""
        ...

    def to_bytes(self) -> bytes:
        """The index as an .npz file."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        ...


@dataclass(frozen=True)
class RunIndex:
    """Runs of consecutive candidates of one fold.

    Attributes:
        starts: (R,) first candidate of each run, runs sorted by fold, then by start.
        before: (R,) candidates of the run's fold that stand before the run.
        first: (F + 1,) runs [first[f], first[f + 1]) are those of fold f.
        sizes: (R,) candidates in each run.
    """

    starts: Integers
    before: Integers
    first: Integers
    sizes: Integers

    @staticmethod
    def build(folds: int, runs: Iterable[Integers], limit: int) -> RunIndex | None:
        """Collect the runs, or None when there are more than `limit`.

        Args:
            folds: F.
            runs: tables (R, 3) of fold, start and stop in the order of the candidates.
            limit: most runs that are kept.
        """
        parts, total = [np.zeros((0, 3), np.int64)], 0
        for part in runs:
            joined = _join_runs(part)
            parts.append(joined)
            total += len(joined)
            if total > limit:
                return None
        table = _join_runs(np.concatenate(parts))
        table = table[np.lexsort((table[:, 1], table[:, 0]))]
        sizes = table[:, 2] - table[:, 1]
        first = np.searchsorted(table[:, 0], np.arange(folds + 1))
        before = np.cumsum(sizes) - sizes
        counts = np.diff(first)
        offsets = before[np.minimum(first[:-1], max(len(before) - 1, 0))] if len(before) else counts
        return RunIndex(table[:, 1], before - np.repeat(offsets, counts), first, sizes)

    def ranges(self, fold: int, start: int, stop: int, fold_of: FoldOf) -> Integers:
        """See `FoldIndex`; reads nothing."""
        own = slice(self.first[fold], self.first[fold + 1])
        before, sizes, starts = self.before[own], self.sizes[own], self.starts[own]
        one = int(np.searchsorted(before, start, side="right")) - 1
        end = int(np.searchsorted(before, stop, side="left"))
        lows = np.maximum(start - before[one:end], 0) + starts[one:end]
        highs = np.minimum(stop - before[one:end], sizes[one:end]) + starts[one:end]
        return np.stack([lows, highs], axis=1)

    def to_bytes(self) -> bytes:
        """See `FoldIndex`."""
        return _npz(starts=self.starts, before=self.before, first=self.first, sizes=self.sizes)

    @property
    def nbytes(self) -> int:
        """See `FoldIndex`."""
        return self.starts.nbytes + self.before.nbytes + self.first.nbytes + self.sizes.nbytes


@dataclass(frozen=True)
class CountIndex:
    """Candidates of each fold before every stretch of `segment` windows.

    Attributes:
        before: (F, S + 1) prefix counts.
        segment: windows in a stretch.
        windows: candidates in all.
    """

    before: Integers
    segment: int
    windows: int

    @staticmethod
    def build(windows: int, folds: int, segment: int, fold_of: FoldOf) -> CountIndex:
        """Count the folds of every stretch, reading groups in slices."""
        stretches = -(-windows // segment)
        before = np.zeros((folds, stretches + 1), dtype=np.int64)
        step = max(1, SLICE // segment) * segment
        for start in range(0, windows, step):
            fold = fold_of(start, min(start + step, windows))
            stretch = (start + np.arange(len(fold))) // segment
            kept = fold >= 0
            np.add.at(before, (fold[kept], stretch[kept] + 1), 1)
        return CountIndex(np.cumsum(before, axis=1), segment, windows)

    def ranges(self, fold: int, start: int, stop: int, fold_of: FoldOf) -> Integers:
        """See `FoldIndex`; reads the groups of the stretches that hold the candidates."""
        before = self.before[fold]
        one = int(np.searchsorted(before, start, side="right")) - 1
        end = int(np.searchsorted(before, stop, side="left"))
        low, high = one * self.segment, min(end * self.segment, self.windows)
        inside = low + np.flatnonzero(fold_of(low, high) == fold)
        chosen = inside[start - int(before[one]) : stop - int(before[one])]
        breaks = np.flatnonzero(np.diff(chosen) != 1)
        lows = chosen[np.concatenate([[0], breaks + 1])]
        highs = chosen[np.concatenate([breaks, [len(chosen) - 1]])] + 1
        return np.stack([lows, highs], axis=1)

    def to_bytes(self) -> bytes:
        """See `FoldIndex`."""
        return _npz(
            before=self.before, segment=np.array(self.segment), windows=np.array(self.windows)
        )

    @property
    def nbytes(self) -> int:
        """See `FoldIndex`."""
        return self.before.nbytes


def load_index(file: Path | io.BytesIO) -> FoldIndex:
    """Read what `FoldIndex.to_bytes` gave.

    Raises:
        ARCHIVE_ERRORS: it is damaged.
    """
    with np.load(file, allow_pickle=False) as found:
        if "segment" in found:
            return CountIndex(found["before"], int(found["segment"]), int(found["windows"]))
        return RunIndex(found["starts"], found["before"], found["first"], found["sizes"])


def _join_runs(table: Integers) -> Integers:
    """Join neighbours of the same fold."""
    if len(table) < 2:
        return table
    parted = (table[1:, 0] != table[:-1, 0]) | (table[1:, 1] != table[:-1, 2])
    firsts = np.concatenate([[True], parted])
    lasts = np.concatenate([parted, [True]])
    return np.stack([table[firsts, 0], table[firsts, 1], table[lasts, 2]], axis=1)


def _npz(**arrays: NDArray[np.int64]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
