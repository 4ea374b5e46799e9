"""Ranges of rows: joined, cut to the first rows or to a share, and cut into reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Range = tuple[int, int]
"""Rows [start, stop) of the store."""


def part_origins(starts: NDArray[np.int64], part_starts: Sequence[int]) -> NDArray[np.int64]:
    """(n,) first row of the part in which ranges begin that start at rows (n,)."""
    first = np.array(part_starts, np.int64)
    return np.asarray(first[np.searchsorted(first, starts, side="right") - 1])


def merge_ranges(ranges: Iterable[Range], part_starts: Sequence[int] = (0,)) -> tuple[Range, ...]:
    """Sort ranges that do not overlap, drop empty ones and join neighbours within a part.

    Neighbouring folds then share the chunk on their border: one piece, not two.
    """
    merged: list[Range] = []
    begins = set(part_starts)
    for start, stop in sorted(each for each in ranges if each[0] < each[1]):
        if merged and merged[-1][1] == start and start not in begins:
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


def share_ranges(ranges: Sequence[Range], rank: int, ranks: int) -> list[Range]:
    """One of `ranks` equal parts of the rows of ranges, in order; parts differ by one row at most.

    The parts are disjoint, and together all rows.
    """
    rows = sum(stop - start for start, stop in ranges)
    low, high = rows * rank // ranks, rows * (rank + 1) // ranks
    share, before = [], 0
    for start, stop in ranges:
        shift = start - before
        begin, end = max(start, low + shift), min(stop, high + shift)
        if begin < end:
            share.append((begin, end))
        before += stop - start
    return share


def cut_ranges(
    ranges: Iterable[Range], rows: int, part_starts: Sequence[int] = (0,)
) -> list[Range]:
    """Cut ranges, in order, at every `rows` rows of a part: each piece is what one read takes.

    A multiple of the chunk makes every read take whole chunks, but for the ends of a range.
    """
    given = list(ranges)
    origins = part_origins(np.array([start for start, _ in given], np.int64), part_starts)
    return [
        (max(start, edge), min(stop, edge + rows))
        for (start, stop), origin in zip(given, origins.tolist(), strict=True)
        for edge in range(origin + (start - origin) // rows * rows, stop, rows)
    ]
