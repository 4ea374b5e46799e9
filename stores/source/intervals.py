"""A table of labelled intervals, and which rows of the signals each of them is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import rows_of
from headrace.stores.source.formats.columns import TABLE
from headrace.stores.source.formats.interface import SourceArray, SourceNode
from headrace.stores.source.label_options import IntervalOptions
from headrace.stores.source.names import plain_number
from headrace.stores.source.recording_table import column_texts

NEEDED = ("start", "stop", "label")
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
Intervals = tuple[NDArray[np.int64], NDArray[np.int64], list[str]]


def read_intervals(
    node: SourceNode,
    options: IntervalOptions,
    start: NDArray[np.int64],
    length: NDArray[np.int64],
    columns: Mapping[str, Sequence[str]],
    rate_hz: float,
) -> Intervals:
    """The intervals of a table, as rows of the signals in their order.

    Args:
        node: the table.
        options: how it is read.
        start, length: (R,) of each recording, rows of the signals.
        columns: of the table of recordings, by name; those that the intervals have too say whose
            they are.
        rate_hz: of the signals, for intervals in units of time.

    Returns:
        First rows and rows to stop before, int64, and labels.

    Raises:
        UserError: a column is missing, an interval is of no recording or not within it, or two
            overlap.
    """
    found = _columns(node, options)
    shared = [name for name in found if name in columns]
    recording = _owners(node, found, shared, columns, len(start))
    low, high = (_rows(found[name], options, rate_hz) for name in ("start", "stop"))
    high = high + (1 if options.inclusive else 0)
    wrong = np.flatnonzero((low < 0) | (high < low) | (high > length[recording]))
    if len(wrong):
        row = int(wrong[0])
        raise SourceError(
            f"Row {row + 1} of {node.where} is an interval of the rows {low[row]} to {high[row]} "
            f"of a recording of {length[recording[row]]}. Correct it, or source.intervals.unit, "
            "first or inclusive."
        )
    first, stop = start[recording] + low, start[recording] + high
    order = np.argsort(first, kind="stable")
    over = np.flatnonzero(first[order][1:] < stop[order][:-1])
    if len(over):
        one, two = sorted(int(order[over[0] + k]) + 1 for k in (0, 1))
        raise SourceError(
            f"The intervals in the rows {one} and {two} of {node.where} overlap: a row has one "
            "label. Correct the table."
        )
    labels = column_texts(found["label"])
    return first[order], stop[order], [labels[row] for row in order.tolist()]


def _columns(node: SourceNode, options: IntervalOptions) -> dict[str, SourceArray]:
    """The table's columns by the names that they are meant to have."""
    if options.columns is None:
        found = {name: node.array(name) for name in NEEDED}
        lacking = [name for name, array in found.items() if array is None]
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
    shared: Sequence[str],
    columns: Mapping[str, Sequence[str]],
    recordings: int,
) -> NDArray[np.int64]:
    """The recording of each interval."""
    count = rows_of(found["label"])
    if not shared:
        if recordings == 1:
            return np.zeros(count, np.int64)
        raise SourceError(
            f"{node.where} does not say whose its intervals are: none of its columns is one of "
            f"{', '.join(columns)}. Name them with source.intervals.columns."
        )
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
        *([plain_number(text) for text in column_texts(found[name])] for name in shared),
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
    return owners


def _rows(array: SourceArray, options: IntervalOptions, rate_hz: float) -> NDArray[np.int64]:
    values = array.read(0, rows_of(array))
    if values.dtype.kind not in "iuf" or not np.isfinite(values.astype(np.float64)).all():
        raise SourceError(f"{array.where} holds {values.dtype}; numbers are needed. Correct it.")
    if options.unit == "rows":
        return values.astype(np.int64) - options.first
    seconds = values.astype(np.float64) * SECONDS[options.unit]
    return np.round(seconds * rate_hz).astype(np.int64)
