"""Moments of recordings as rows: counted from their beginning, or looked up among the times."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.label_options import IntervalOptions
from headrace.stores.source.labels.interval_tables import IntervalTable
from headrace.stores.source.notes.note import Note
from headrace.stores.source.times.stamps import SECONDS
from headrace.stores.source.times.times import Times

NEAR = 0.01
"""Of a row: a moment that is so little after a row's time is that row's."""
LOOKED_AT = 256
"""Rows around the one where a moment is expected."""


def interval_rows(
    low: NDArray[Any],
    high: NDArray[Any],
    recording: NDArray[np.int64],
    options: IntervalOptions,
    times: Times,
    rate_hz: float,
    intervals: IntervalTable,
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[Note, ...]]:
    """First row and row to stop before of each interval, from its recording's first row; and notes.

    Where rows have times: the first rows whose time is not before the moment. Moments are counted
    from the recording's beginning; those that only fit between the times themselves are such, if
    the options do not say what they are.

    Args:
        low, high: (n,) in the unit; dates in nanoseconds.
        recording: (n,) of each.
        options: their unit, and whether `high` is the last moment.
        times: of the recordings.
        rate_hz: of rows without times.
        intervals: where they stand, for errors.

    Raises:
        UserError: a moment is in no recording, or dates are given and rows have no times.
    """
    unit = SECONDS["ns" if options.unit == "date" else options.unit]
    if times.stamps is None:
        if options.unit == "date" or options.counted_from == "times":
            what = "dates" if options.unit == "date" else "times of rows"
            raise SourceError(
                f"{intervals.where} holds {what}, and nothing says when rows were recorded. "
                "Name the times of rows with source.time."
            )
        rows = [np.round(_seconds(each, unit) * rate_hz).astype(np.int64) for each in (low, high)]
        return rows[0], rows[1] + int(options.inclusive), ()
    since = _seconds(low, unit), _seconds(high, unit)
    beyond = _outside(since, recording, times, rate_hz)
    absolute = tuple(_since_beginning(each, recording, unit, times) for each in (low, high))
    among = _outside(absolute, recording, times, rate_hz)
    from_times = options.unit == "date" or options.counted_from == "times"
    may_be = options.counted_from is None and not among.any()
    noted: tuple[Note, ...] = ()
    if from_times or (may_be and beyond.any()):
        since, beyond = (absolute[0], absolute[1]), among
    elif may_be and len(low) and np.abs(since[0] - absolute[0]).max() > 1 / rate_hz:
        noted = (_both_fit(intervals, since[0], absolute[0]),)
    if beyond.any():
        row = int(np.argmax(beyond))
        at, lasts = recording[row], _lasting(times, rate_hz)[recording[row]]
        raise SourceError(
            f"{intervals.row(row)} is from {since[0][row]:.6g} to {since[1][row]:.6g} s after "
            f"the beginning of recording {at}, which lasts {lasts:.6g} s. Correct it, or "
            "source.intervals.unit."
        )
    starts, stops = (_rows_at(times, recording, each, rate_hz) for each in since)
    if options.inclusive:
        stops = np.minimum(stops + 1, times.given.length[recording])
    return starts, stops, noted


def _both_fit(
    intervals: IntervalTable, since: NDArray[np.float64], absolute: NDArray[np.float64]
) -> Note:
    row = int(np.argmax(np.abs(since - absolute)))
    return Note(
        f"The moments in {intervals.where} fit both from the recording's beginning and between the "
        f"times of its rows: {intervals.row(row, short=True)} begins {since[row]:.6g} s after the "
        f"first row, or {absolute[row]:.6g} s. They are counted from the beginning. Say which with "
        'source.intervals.counted_from = "beginning" or "times".',
        "source.intervals.counted_from",
        warning=True,
    )


def _seconds(moments: NDArray[Any], unit: float) -> NDArray[np.float64]:
    return np.asarray(moments.astype(np.float64) * unit)


def _since_beginning(
    moments: NDArray[Any], recording: NDArray[np.int64], unit: float, times: Times
) -> NDArray[np.float64]:
    """Seconds since the recordings' first rows of moments on the scale of the times."""
    begun = times.begun[np.searchsorted(times.owner, recording)]
    if unit == times.tick_s and moments.dtype.kind == begun.dtype.kind == "i":
        return _seconds(moments - begun, unit)
    return _seconds(moments, unit) - _seconds(begun, times.tick_s)


def _lasting(times: Times, rate_hz: float) -> NDArray[np.float64]:
    """Seconds of each recording, gaps too."""
    found = np.zeros(len(times.given.start))
    np.maximum.at(found, times.owner, times.offset + times.table.length / rate_hz)
    return found


def _outside(
    since: tuple[NDArray[np.float64], ...],
    recording: NDArray[np.int64],
    times: Times,
    rate_hz: float,
) -> NDArray[np.bool_]:
    """Whether an interval begins before its recording, or ends a row or more after it."""
    low, high = since
    most = _lasting(times, rate_hz)[recording] + 1.5 / rate_hz
    return np.asarray((low < -1.5 / rate_hz) | (high < low) | (high > most))


def _rows_at(
    times: Times, recording: NDArray[np.int64], seconds: NDArray[np.float64], rate_hz: float
) -> NDArray[np.int64]:
    """The first row of the recording whose time is not before the moment."""
    table, owner = times.table, times.owner
    first, last = (np.searchsorted(owner, recording, side=side) for side in ("left", "right"))
    found = np.empty(len(seconds), np.int64)
    # In the order of rows: what was decoded for one is there for the next.
    for number in np.lexsort((seconds, recording)).tolist():
        moment = float(seconds[number]) - NEAR / rate_hz
        pieces = slice(int(first[number]), int(last[number]))
        piece = pieces.start + max(
            0, int(np.searchsorted(times.offset[pieces], moment, side="right")) - 1
        )
        within = _row_in_piece(times, piece, moment, rate_hz)
        found[number] = table.start[piece] + within - times.given.start[recording[number]]
    return found


def _row_in_piece(times: Times, piece: int, moment: float, rate_hz: float) -> int:
    assert times.stamps is not None
    start, length = int(times.table.start[piece]), int(times.table.length[piece])
    guess = round((moment - float(times.offset[piece])) * rate_hz)
    around = LOOKED_AT
    while True:
        low = min(max(0, guess - around), length)
        high = max(min(length, guess + around), low)
        ticks = times.stamps.read(start + low, start + high)
        since = (ticks - times.begun[piece]).astype(np.float64) * times.tick_s
        at = int(np.searchsorted(since + times.offset[piece], moment, side="left"))
        if (at > 0 or low == 0) and (at < high - low or high == length):
            return low + at
        around *= 8
