"""A table of labelled intervals, and which rows of the signals each of them is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import rows_of
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.label_options import IntervalOptions
from headrace.stores.source.labels.interval_rows import interval_rows
from headrace.stores.source.labels.interval_tables import IntervalTable
from headrace.stores.source.labels.texts import label_texts
from headrace.stores.source.notes.note import Note
from headrace.stores.source.times.dates import month_is_first
from headrace.stores.source.times.stamps import SECONDS, Stamps, unit_of
from headrace.stores.source.times.times import Times

MOST_ROWS = 2**53
"""Above it float64 has no place for every row."""
Intervals = tuple[NDArray[np.int64], NDArray[np.int64], list[str]]


def read_intervals(
    intervals: IntervalTable, options: IntervalOptions, times: Times, rate_hz: float
) -> tuple[Intervals, tuple[Note, ...]]:
    """The intervals of a table, as rows of the signals in their order.

    Args:
        intervals: the table, or those of all recordings.
        options: how it is read.
        times: of the recordings.
        rate_hz: of the signals, for intervals in units of time where rows have none.

    Returns:
        First rows and rows to stop before, int64, and labels; and what is to be told.

    Raises:
        UserError: an interval is not within its recording, two overlap, or they count rows and
            these were sorted by their times.
    """
    found, recording, noted = intervals.columns, intervals.recording, intervals.notes
    table = times.given
    if options.unit == "rows":
        if times.order is not None:
            raise SourceError(
                f"{intervals.where} counts rows, and the rows of the signals were sorted by their "
                "times, some moved or left out: they have other numbers now. Set "
                'source.intervals.unit = "s" or "date", or sort the files by time.'
            )
        low, high = (_whole(found[name]) for name in ("start", "stop"))
        low, high = low - options.first, high - options.first + options.inclusive
    else:
        low, high = (_ticks(found[name], options) for name in ("start", "stop"))
        low, high, more = interval_rows(low, high, recording, options, times, rate_hz, intervals)
        noted += more
    length = table.length[recording]
    wrong = np.flatnonzero((low < 0) | (high < low) | (high > length))
    if len(wrong):
        row = int(wrong[0])
        raise SourceError(
            f"{intervals.row(row)} is an interval of the rows {low[row]} to {high[row]} "
            f"of a recording of {length[row]}. Correct it, or source.intervals.unit, first or "
            "inclusive."
        )
    first, stop = table.start[recording] + low, table.start[recording] + high
    order = np.argsort(first, kind="stable")
    over = np.flatnonzero(first[order][1:] < stop[order][:-1])
    if len(over):
        one, two = sorted(int(order[over[0] + k]) for k in (0, 1))
        raise SourceError(
            f"{intervals.row(one)} and {intervals.row(two, short=True)} are intervals that "
            "overlap: a row has one label. Correct the table."
        )
    labels = label_texts(found["label"])
    return (first[order], stop[order], [labels[row] for row in order.tolist()]), noted


def _numbers(array: SourceArray) -> NDArray[Any]:
    values = array.read(0, rows_of(array))
    if values.dtype.kind not in "iuf":
        raise SourceError(f"{array.where} holds {values.dtype}; numbers are needed. Correct it.")
    _require(array, values, np.isfinite(values), "a number")
    return values


def _whole(array: SourceArray) -> NDArray[np.int64]:
    """Numbers of rows."""
    values = _numbers(array)
    right = (np.abs(values.astype(np.float64)) < MOST_ROWS) & (values == np.trunc(values))
    _require(array, values, right, "a whole number of rows")
    return values.astype(np.int64)


def _require(
    array: SourceArray, values: NDArray[Any], right: NDArray[np.bool_], needed: str
) -> None:
    if not right.all():
        row = int(np.argmin(right))
        raise SourceError(
            f"Row {row + 1} of {array.where} is {values[row]}; {needed} is needed. Correct it, or "
            "source.intervals.unit."
        )


def _ticks(array: SourceArray, options: IntervalOptions) -> NDArray[Any]:
    """Starts or stops in their unit; dates in nanoseconds."""
    if array.dtype.kind not in "SOUM":
        values = _numbers(array)
        if options.unit != "date":
            return values
        tick = SECONDS[unit_of(Stamps(array), "", options.unit) or "days"]
        whole = values.dtype.kind in "iu" and tick == SECONDS["ns"]
        if whole:
            return values
        scaled = np.round(values * (tick / SECONDS["ns"]))
        _require(array, values, np.abs(scaled) < 2.0**63, "a date between 1678 and 2261")
        return np.asarray(scaled.astype(np.int64))
    if options.unit != "date":
        raise SourceError(
            f"{array.where} holds {array.dtype}, and source.intervals.unit = {options.unit}. Dates "
            'are source.intervals.unit = "date".'
        )
    texts = array.dtype.kind != "M"
    month_first = texts and month_is_first(array.texts(0, rows_of(array)).tolist())
    return Stamps(array, texts, month_first).read(0, rows_of(array))
