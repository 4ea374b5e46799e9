"""Labels that come one every so many seconds: which rows of each recording they are of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.notes.note import Note
from headrace.stores.source.times.times import Times

Periods = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
ROUNDED = 1e-6
"""Of a row: borders that are a rounding away from one are that row."""


def label_periods(
    entries: int,
    own: NDArray[np.int64] | None,
    times: Times,
    rows: int,
    every_rows: float,
    where: str,
) -> tuple[Periods, tuple[Note, ...]]:
    """The rows that each label is of.

    Recordings have a label for each whole period, and may have one more for what is left; rows that
    have none keep none. Periods count seconds with gaps; where these do not fit, rows.

    Args:
        entries: of the array of labels.
        own: (R,) how many of them are each recording's; None: they follow each other as the
            recordings do.
        times: of the recordings.
        rows: of the signals.
        every_rows: rows of a period, may be broken.
        where: the labels, for errors.

    Returns:
        First row, row to stop before, and number of the label, of stretches in the order of rows;
        and that both ways to count fit, where they differ.

    Raises:
        UserError: there are more labels, or fewer.
    """
    given, table = times.given, times.table
    gapless = given.length / every_rows
    # What each recording lasts in periods, gaps too: the end of its last piece.
    ends = times.offset * times.rate_or(1.0) + table.length
    lasting = np.zeros(len(given.length))
    np.maximum.at(lasting, times.owner, ends / every_rows)
    by_clock = _counts(lasting, entries, own, given.start)
    by_rows = _counts(gapless, entries, own, given.start)
    if by_clock is not None:
        found = _stretches(by_clock, times, every_rows, by_rows=False)
        other = found if by_rows is None else _stretches(by_rows, times, every_rows, by_rows=True)
        same = all(map(np.array_equal, found, other))
        return found, () if same else (_both_fit(where),)
    if by_rows is not None:
        return _stretches(by_rows, times, every_rows, by_rows=True), ()
    if own is None and round(rows / every_rows) == entries:
        return _of_whole(entries, times, every_rows), ()
    raise _wrong_count(entries, own, gapless, where)


def _both_fit(where: str) -> Note:
    return Note(
        f"The labels in {where} are as many as periods of the clock, gaps too, and as periods of "
        "what was recorded. They are read by the clock. If none is of a gap, set source.time = "
        '"" and source.rate_hz.',
        "source.label_every_s",
        warning=True,
    )


def _counts(
    periods: NDArray[np.float64],
    entries: int,
    own: NDArray[np.int64] | None,
    start: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """First label and number of labels of each recording; None: they do not fit."""
    least = np.floor(periods + ROUNDED).astype(np.int64)
    most = np.ceil(periods - ROUNDED).astype(np.int64)
    if own is not None:
        fits = ((own == least) | (own == most)).all()
        return (np.cumsum(own) - own, own) if fits else None
    order = np.argsort(start, kind="stable")
    for counts in (least, most, np.round(periods).astype(np.int64)):
        if int(counts.sum()) == entries:
            first = np.zeros_like(counts)
            first[order] = np.cumsum(counts[order]) - counts[order]
            return first, counts
    return None


def _stretches(
    counts: tuple[NDArray[np.int64], NDArray[np.int64]],
    times: Times,
    every_rows: float,
    by_rows: bool,
) -> Periods:
    """Of each piece the labels that reach into it."""
    table, owner = times.table, times.owner
    before = table.start - times.given.start[owner]
    if not by_rows:
        before = np.round(times.offset * times.rate_or(1.0)).astype(np.int64)
    low = np.floor((before + ROUNDED) / every_rows).astype(np.int64)
    high = np.ceil((before + table.length - ROUNDED) / every_rows).astype(np.int64)
    high = np.maximum(low, np.minimum(high, counts[1][owner]))
    each = high - low
    piece = np.repeat(np.arange(len(owner)), each)
    number = np.arange(len(piece)) - np.repeat(np.cumsum(each) - each, each) + low[piece]
    begin, end = (_border(number + more, every_rows) - before[piece] for more in (0, 1))
    first = table.start[piece] + np.maximum(begin, 0)
    stop = table.start[piece] + np.minimum(end, table.length[piece])
    label = counts[0][owner[piece]] + number
    return _in_order(first, stop, label)


def _of_whole(entries: int, times: Times, every_rows: float) -> Periods:
    """Labels of the signals' rows, whatever recordings are cut of them."""
    number = np.arange(entries)
    first, stop = (_border(number + more, every_rows) for more in (0, 1))
    end = int((times.given.start + times.given.length).max())
    return _in_order(first, np.minimum(stop, end), number)


def _in_order(
    first: NDArray[np.int64], stop: NDArray[np.int64], label: NDArray[np.int64]
) -> Periods:
    kept = np.flatnonzero(stop > first)
    order = kept[np.argsort(first[kept], kind="stable")]
    return first[order], stop[order], label[order]


def _border(number: NDArray[np.int64], every_rows: float) -> NDArray[np.int64]:
    """The first row of a period."""
    return np.asarray(np.ceil(number * every_rows - ROUNDED).astype(np.int64))


def _wrong_count(
    entries: int, own: NDArray[np.int64] | None, periods: NDArray[np.float64], where: str
) -> SourceError:
    if own is None:
        fewest, most = np.floor(periods + ROUNDED).sum(), np.ceil(periods - ROUNDED).sum()
        return SourceError(
            f"{where} has {entries:,} labels, and the recordings have room for {fewest:,.0f} to "
            f"{most:,.0f} of source.label_every_s. Correct it, or the rate, or the file."
        )
    off = np.flatnonzero((own < np.floor(periods + ROUNDED)) | (own > np.ceil(periods - ROUNDED)))
    at = int(off[0]) if len(off) else 0
    return SourceError(
        f"{where} has {own[at]:,} labels for recording {at}, which lasts {periods[at]:.6g} times "
        "source.label_every_s. Correct it, or the rate, or the file."
    )
