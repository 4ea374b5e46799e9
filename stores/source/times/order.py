"""Rows of recordings sorted by their times, repeats left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.names import slices
from headrace.stores.source.times.row_order import RowOrder, order_of, runs_of
from headrace.stores.source.times.scan import Cuts, Places, Scan
from headrace.stores.source.times.stamps import Stamps

MOST_SORTED = 1 << 22
"""Rows of a recording that are sorted: 100 MB for a moment."""
MOST_RUNS = 1 << 20
"""Runs of rows that follow each other, as stored: 16 bytes each."""


def pieces_of(places: Places, cuts: Cuts) -> tuple[Places, NDArray[np.int64]]:
    """Places cut before some rows, in the order of their rows; and the place of each piece."""
    start = np.sort(np.concatenate([places.start, cuts.row]))
    place = np.searchsorted(places.start, start, side="right") - 1
    stop = np.minimum(np.append(start[1:], np.iinfo(np.int64).max), places.stop[place])
    return Places(start, stop, places.owner[place]), place


def sorted_rows(stamps: Stamps, places: Places, found: Scan) -> tuple[RowOrder, Places, int]:
    """The order of the rows of all places, by their times where these are not in order.

    Returns:
        The order; where the places, cut where times begin afresh, lie in it; and how many repeats
        were left out.

    Raises:
        UserError: a recording is too long, or too much out of order, to be sorted in memory.
    """
    cuts, again = found.cuts, found.cuts.restart
    restarts = Cuts(cuts.row[again], cuts.before[again], cuts.at[again], cuts.restart[again])
    pieces, place = pieces_of(places, restarts)
    runs, lengths, count, repeats = [], [], 0, 0
    for number, (start, stop) in enumerate(
        zip(pieces.start.tolist(), pieces.stop.tolist(), strict=True)
    ):
        own = np.array([[start, stop]], np.int64)
        if found.disordered[place[number]]:
            rows = _sorted(stamps, start, stop)
            repeats += stop - start - len(rows)
            own = runs_of(rows)
        count += len(own)
        if count > MOST_RUNS:
            raise SourceError(
                f"The rows of {stamps.where} are too much out of order to be sorted in "
                "memory: more than a million of them have another before them. Sort the file by "
                'time, or set source.time = "" and source.rate_hz.'
            )
        runs.append(own)
        lengths.append(int((own[:, 1] - own[:, 0]).sum()))
    ends = np.cumsum(lengths, dtype=np.int64)
    return order_of(runs), Places(ends - lengths, ends, pieces.owner), repeats


def _sorted(stamps: Stamps, start: int, stop: int) -> NDArray[np.int64]:
    """Rows by their times, the first of those with the same."""
    if stop - start > MOST_SORTED:
        raise SourceError(
            f"The rows {start:,} to {stop:,} of {stamps.where} are not in order, and too "
            f"many to be sorted in memory: {MOST_SORTED:,} of a recording at most. Sort the file "
            'by time, cut it into recordings, or set source.time = "" and source.rate_hz.'
        )
    parts = [stamps.read(start + low, start + high) for low, high in slices(stop - start)]
    ticks = np.concatenate(parts)
    del parts
    order = np.argsort(ticks, kind="stable")
    kept = np.append(True, np.diff(ticks[order]) > 0)
    rows: NDArray[np.int64] = start + order[kept]
    return rows
