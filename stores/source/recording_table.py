"""The table of recordings: where each lies in the signals, and its group and part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError, first_line
from headrace.stores.source.arrays import require_array, rows_of
from headrace.stores.source.classes import no_groups
from headrace.stores.source.formats.interface import SourceArray, SourceNode
from headrace.stores.source.names import Codes, NameColumn
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.signals import find_flat

USUAL_TABLE = "recordings"
USUAL_GROUPS = ("subject", "group", "groups")
USUAL_SPLIT = ("split",)
SHOWN_ROWS = 3


@dataclass(frozen=True)
class RecordingTable:
    """One row per recording.

    Attributes:
        start: (R,) int64, first row in the signals.
        length: (R,) int64, rows.
        group: column of group names, None when splits are by window.
        part: column of the official split, None without one.
        group_code, part_code: (R,) int32 codes of these columns, -1 without one.
        arrays: the columns that are used.
    """

    start: NDArray[np.int64]
    length: NDArray[np.int64]
    group: NameColumn | None
    part: NameColumn | None
    group_code: Codes
    part_code: Codes
    arrays: tuple[SourceArray, ...]
    node: SourceNode

    def whole_labels(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
        """Rows and label of each recording, by a column of this table.

        Raises:
            UserError: there is no such column.
        """
        array = find_flat(self.node, "label_column", name, ())
        assert array is not None
        labels, order = column_texts(array), np.argsort(self.start, kind="stable")
        ordered = [labels[row] for row in order.tolist()]
        return self.start[order], (self.start + self.length)[order], ordered


def read_table(file: SourceNode, rows: int, options: SourceOptions) -> RecordingTable:
    """Read the table of recordings into signals of `rows` rows.

    Raises:
        UserError: the table or a column is missing, columns differ in length, a recording lies
            outside the signals, or two overlap.
    """
    node = _table_group(file, options)
    places = [
        _whole_numbers(node, option, getattr(options, option))
        for option in ("start_column", "length_column")
    ]
    group = None
    if not options.split_by_window:
        found = find_flat(node, "groups", options.groups, USUAL_GROUPS)
        if found is None:
            raise no_groups(node, USUAL_GROUPS)
        group = NameColumn(found, "groups")
    found = find_flat(node, "split", options.split, USUAL_SPLIT)
    part = None if found is None else NameColumn(found, "split")
    columns = [column.array for column in (group, part) if column is not None]
    arrays = (*places, *columns)
    _check_lengths(arrays)
    start, length = (each.read(0, rows_of(each)).astype(np.int64) for each in places)
    _check_places(node, start, length, rows)
    return RecordingTable(
        start,
        length,
        group,
        part,
        _codes(group, len(start)),
        _codes(part, len(start)),
        arrays,
        node,
    )


def column_texts(array: SourceArray, start: int = 0, stop: int | None = None) -> list[str]:
    """Values of a short column, as text; whole numbers without a point.

    Raises:
        UserError: it holds neither texts in UTF-8 nor numbers.
    """
    stop = rows_of(array) if stop is None else stop
    if array.dtype.kind in "SOU":
        try:
            return [str(text) for text in array.texts(start, stop).tolist()]
        except (UnicodeDecodeError, TypeError) as error:
            raise SourceError(
                f"{array.where} holds what is no text in UTF-8 ({first_line(error)}). Correct it, "
                "or name another column."
            ) from error
    values = array.read(start, stop)
    if values.dtype.kind == "f" and (values == np.trunc(values)).all():
        values = values.astype(np.int64)
    return [str(value) for value in values.tolist()]


def _table_group(file: SourceNode, options: SourceOptions) -> SourceNode:
    name = options.recordings or USUAL_TABLE
    node = file.group(name)
    if node is None:
        raise SourceError(
            f"{file.where} has no group {name} with the columns {options.start_column} and "
            f"{options.length_column}, one entry per recording. It holds: {file.contents()}. Name "
            "the group with source.recordings."
        )
    return node


def _whole_numbers(node: SourceNode, option: str, name: str) -> SourceArray:
    array = require_array(node, option, None, (name,))
    if array.dtype.kind not in "iu" or len(array.shape or ()) != 1 or rows_of(array) == 0:
        raise SourceError(
            f"{array.where} is {array.dtype} {array.shape}; one whole number per "
            f"recording is needed. Name another column with source.{option}."
        )
    return array


def _codes(column: NameColumn | None, rows: int) -> Codes:
    return np.full(rows, -1, dtype=np.int32) if column is None else column.read(0, rows)


def _check_lengths(columns: Sequence[SourceArray]) -> None:
    for column in columns:
        if rows_of(column) != rows_of(columns[0]):
            raise SourceError(
                f"{column.where} has {rows_of(column)} entries, "
                f"{columns[0].name} has {rows_of(columns[0])}: one per recording is needed. "
                "Correct the file, or name another column."
            )


def _check_places(
    node: SourceNode, start: NDArray[np.int64], length: NDArray[np.int64], rows: int
) -> None:
    outside = np.flatnonzero((start < 0) | (length < 0) | (length > rows - start))
    if len(outside) > 0:
        raise SourceError(
            f"{_rows_of(node, outside, start, length)} outside the {rows} rows of the signals. "
            "Correct the table of recordings."
        )
    filled = np.flatnonzero(length > 0)
    order = filled[np.argsort(start[filled], kind="stable")]
    inside = np.flatnonzero(start[order][1:] < (start + length)[order][:-1])
    if len(inside) > 0:
        pair = order[[inside[0], inside[0] + 1]]
        raise SourceError(
            f"{_rows_of(node, pair, start, length)} over each other: their windows would be "
            "counted twice. Correct the table of recordings."
        )


def _rows_of(
    node: SourceNode, rows: NDArray[np.int64], start: NDArray[np.int64], length: NDArray[np.int64]
) -> str:
    listed = ", ".join(
        f"{row} (rows {start[row]} to {int(start[row]) + int(length[row])})"
        for row in rows[:SHOWN_ROWS].tolist()
    )
    more = ", ..." if len(rows) > SHOWN_ROWS else ""
    return f"In {node.where} the recordings {listed}{more} lie"
