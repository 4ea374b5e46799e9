"""A table of labelled intervals, and which rows of the signals each of them is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import rows_of
from headrace.stores.source.files.files import FILE
from headrace.stores.source.formats.columns import TABLE
from headrace.stores.source.interface import SourceArray, SourceNode
from headrace.stores.source.label_options import IntervalOptions
from headrace.stores.source.labels.interval_rows import interval_rows
from headrace.stores.source.labels.texts import column_texts, label_texts
from headrace.stores.source.names import plain_number
from headrace.stores.source.notes.note import Note
from headrace.stores.source.recording_table import RecordingTable
from headrace.stores.source.times.dates import month_is_first
from headrace.stores.source.times.stamps import SECONDS, Stamps, unit_of
from headrace.stores.source.times.times import Times

PLACES = ("start", "length")
"""Columns of the table of recordings that tell none from another."""
NEEDED = ("start", "stop", "label")
RECORDING = "recording"
"""A column of numbers of recordings, where their table has none of that name."""
MOST_ROWS = 2**53
"""Above it float64 has no place for every row."""
Intervals = tuple[NDArray[np.int64], NDArray[np.int64], list[str]]


def read_intervals(
    node: SourceNode, options: IntervalOptions, times: Times, rate_hz: float
) -> tuple[Intervals, tuple[Note, ...]]:
    """The intervals of a table, as rows of the signals in their order.

    Args:
        node: the table.
        options: how it is read.
        times: of the recordings; columns that their table and the intervals have say whose an
            interval is.
        rate_hz: of the signals, for intervals in units of time where rows have none.

    Returns:
        First rows and rows to stop before, int64, and labels; and what is to be told.

    Raises:
        UserError: a column is missing, an interval is of no recording or not within it, two
            overlap, or they count rows and these were sorted by their times.
    """
    found = _columns(node, options)
    table = times.given
    recording, noted = _owners(node, found, table, options)
    if options.unit == "rows":
        if times.order is not None:
            raise SourceError(
                f"{node.where} counts rows, and the rows of the signals were sorted by their "
                "times, some moved or left out: they have other numbers now. Set "
                'source.intervals.unit = "s" or "date", or sort the files by time.'
            )
        low, high = (_whole(found[name]) for name in ("start", "stop"))
        low, high = low - options.first, high - options.first + options.inclusive
    else:
        low, high = (_ticks(found[name], options) for name in ("start", "stop"))
        low, high, more = interval_rows(low, high, recording, options, times, rate_hz, node.where)
        noted += more
    length = table.length[recording]
    wrong = np.flatnonzero((low < 0) | (high < low) | (high > length))
    if len(wrong):
        row = int(wrong[0])
        raise SourceError(
            f"Row {row + 1} of {node.where} is an interval of the rows {low[row]} to {high[row]} "
            f"of a recording of {length[row]}. Correct it, or source.intervals.unit, first or "
            "inclusive."
        )
    first, stop = table.start[recording] + low, table.start[recording] + high
    order = np.argsort(first, kind="stable")
    over = np.flatnonzero(first[order][1:] < stop[order][:-1])
    if len(over):
        one, two = sorted(int(order[over[0] + k]) + 1 for k in (0, 1))
        raise SourceError(
            f"The intervals in the rows {one} and {two} of {node.where} overlap: a row has one "
            "label. Correct the table."
        )
    labels = label_texts(found["label"])
    return (first[order], stop[order], [labels[row] for row in order.tolist()]), noted


def _columns(node: SourceNode, options: IntervalOptions) -> dict[str, SourceArray]:
    """The table's columns by the names that they are meant to have."""
    if options.columns is None:
        others = [name for name in node.names() if name not in (*NEEDED, TABLE)]
        found = {name: node.array(name) for name in (*NEEDED, *others)}
        lacking = [name for name in NEEDED if found[name] is None]
        if lacking:
            raise SourceError(
                f"{node.where} has no column {' or '.join(lacking)}. It holds: {node.contents()}. "
                "Name its columns with source.intervals.columns."
            )
        return {name: array for name, array in found.items() if array is not None}
    lacking = [name for name in NEEDED if name not in options.columns]
    if lacking:
        raise SourceError(
            f"source.intervals.columns = {options.columns} lacks {' and '.join(lacking)}. Name "
            "what each column of the table is, in order."
        )
    order = [name for name in node.names() if name != TABLE]
    named = {name: node.array(own) for name, own in zip(options.columns, order, strict=False)}
    if len(order) != len(options.columns):
        raise SourceError(
            f"source.intervals.columns names {len(options.columns)} columns, and {node.where} "
            f"holds: {node.contents()}. Name each of them, in order."
        )
    return {name: array for name, array in named.items() if array is not None}


def _owners(
    node: SourceNode,
    found: Mapping[str, SourceArray],
    table: RecordingTable,
    options: IntervalOptions,
) -> tuple[NDArray[np.int64], tuple[Note, ...]]:
    """The recording of each interval; and how they are counted, where that may be doubted."""
    count, recordings = rows_of(found["label"]), len(table.start)
    named = {name: _of_recordings(table, name) for name in found if name not in NEEDED}
    noted: tuple[Note, ...] = ()
    if RECORDING in found and named[RECORDING] is None:
        first, noted = _first_number(found[RECORDING], recordings, options, node.where)
        named[RECORDING] = [str(first + number) for number in range(recordings)]
    columns = {name: texts for name, texts in named.items() if texts is not None}
    if not columns:
        if recordings == 1:
            return np.zeros(count, np.int64), ()
        raise SourceError(
            f"{node.where} does not say whose its intervals are: none of its columns is one of "
            f"{table.node.contents() if table.node else 'recording'}. Name them with "
            "source.intervals.columns."
        )
    shared = list(columns)
    keys = zip(*([plain_number(text) for text in columns[name]] for name in shared), strict=True)
    number: dict[tuple[str, ...], int] = {}
    for recording, key in enumerate(keys):
        if key in number:
            raise SourceError(
                f"Two recordings have {' and '.join(shared)} = {', '.join(key)}, so that "
                f"{node.where} cannot say which of them an interval is of. Give it one more column."
            )
        number[key] = recording
    own = zip(
        *(
            _as_named(name, [plain_number(text) for text in column_texts(found[name])], columns)
            for name in shared
        ),
        strict=True,
    )
    owners = np.empty(count, np.int64)
    for row, key in enumerate(own):
        if key not in number:
            raise SourceError(
                f"Row {row + 1} of {node.where} is of no recording: {' and '.join(shared)} = "
                f"{', '.join(key)}. Correct it, or source.files."
            )
        owners[row] = number[key]
    return owners, noted


def _first_number(
    array: SourceArray, recordings: int, options: IntervalOptions, where: str
) -> tuple[int, tuple[Note, ...]]:
    """The number of the first recording: by the one that only one way to count has."""
    numbers = {plain_number(text) for text in column_texts(array)}
    zero, last = "0" in numbers, str(recordings) in numbers
    first = (0 if zero else 1) if zero or last else options.first
    if zero or (not last and "first" in options.model_fields_set):
        return first, ()
    doubt = "" if last else " They may count from either: source.intervals.first says which."
    text = f"The recordings in {where} are counted from {first}.{doubt}"
    return first, (Note(text, "source.intervals.first", warning=not last),)


def _of_recordings(table: RecordingTable, name: str) -> list[str] | None:
    """A column of the table of recordings, or the groups of their rows."""
    array = table.node.array(name) if table.node and name not in PLACES else None
    if array is not None and len(array.shape or ()) == 1:
        texts = column_texts(array)
        return [texts[row] for row in table.owner.tolist()]
    group = table.group
    if group is not None and group.array.name.rpartition("/")[2] == name:
        return [group.names[code] for code in table.group_code.tolist()]
    return None


def _as_named(
    name: str, texts: Sequence[str], columns: Mapping[str, Sequence[str]]
) -> Sequence[str]:
    """Names of files as recordings have them; without folder or ending where that tells one."""
    if name != FILE:
        return texts
    known: dict[str, list[str]] = {}
    for full in columns[name]:
        leaf = full.rpartition("/")[2]
        for short in {full, leaf, full.partition(".")[0], leaf.partition(".")[0]}:
            known.setdefault(short, []).append(full)
    slashed = (text.replace("\\", "/").removeprefix("./") for text in texts)
    return [known[text][0] if len(known.get(text, ())) == 1 else text for text in slashed]


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
