"""Arithmetic of contiguous slices: which rows to read for given windows, and how many chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def contiguous_slices(
    first: NDArray[np.int64],
    length: int,
    limit: int,
    gap: int,
    series: NDArray[np.int32] | None = None,
) -> Iterator[tuple[int, int, int, int]]:
    """Cut windows, in their order, into stretches that one contiguous slice of rows covers.

    Args:
        first: (n,) first row of each window.
        length: rows of a window.
        limit: most rows of a slice, unless one window alone is longer.
        gap: most rows between two windows that are read over rather than skipped.
        series: (n,) what the rows count in (a recording); a slice stays in one. None: all in one.

    Yields:
        `(window_start, window_stop, row_start, row_stop)`: windows `window_start` to
        `window_stop` lie in rows `row_start` to `row_stop`.
    """
    if len(first) == 0:
        return
    step = np.diff(first)
    broken = (step < 0) | (step > length + gap)
    if series is not None:
        broken |= series[1:] != series[:-1]
    borders = [0, *(np.flatnonzero(broken) + 1).tolist(), len(first)]
    for start, stop in pairwise(borders):
        while start < stop:
            row = int(first[start])
            fitting = int(np.searchsorted(first[start:stop], row + limit - length, side="right"))
            end = start + max(fitting, 1)
            yield start, end, row, int(first[end - 1]) + length
            start = end


def chunks_touched(spans: Sequence[tuple[int, int]], chunk_rows: int) -> int:
    """Different chunks of `chunk_rows` rows that the row spans `(start, stop)` touch."""
    if not spans:
        return 0
    bounds = np.array(sorted(spans), dtype=np.int64)
    first, last = bounds[:, 0] // chunk_rows, (bounds[:, 1] - 1) // chunk_rows
    # Sorted by their start, a span adds only the chunks after the furthest seen so far.
    seen = np.concatenate(([-1], np.maximum.accumulate(last)[:-1]))
    added = last - np.maximum(first, seen + 1) + 1
    return int(np.maximum(added, 0).sum())
