"""Arithmetic of contiguous slices: rows to read for given windows, and chunks decoded for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.interface import SourceArray


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


def decoded_bytes(data: SourceArray, spans: Sequence[tuple[int, int]]) -> int:
    """Bytes that reading row spans `(start, stop)` of an array decodes, one after another.

    Whole pieces are decoded (chunks of HDF5), and again those that the cache lost in between.
    Where any row can be read alone: the bytes of the rows read.
    """
    if data.piece_rows is None:
        return data.row_bytes * sum(stop - start for start, stop in spans)
    piece = data.row_bytes * data.piece_rows
    return piece * chunks_read(spans, data.piece_rows, data.cache_bytes // piece)


def chunks_read(spans: Iterable[tuple[int, int]], chunk_rows: int, kept: int) -> int:
    """Chunks of `chunk_rows` rows that are decoded for the row spans `(start, stop)`, in order.

    A cache holds the last `kept` of them; what it has lost is decoded again.
    """
    cache: dict[int, None] = {}
    read = 0
    for start, stop in spans:
        for chunk in range(start // chunk_rows, -(-stop // chunk_rows)):
            read += chunk not in cache
            cache.pop(chunk, None)
            cache[chunk] = None
            if len(cache) > kept:
                del cache[next(iter(cache))]
    return read
