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
from headrace.stores.source.held import HeldArray
from headrace.stores.source.names import Codes, NameColumn
from headrace.stores.source.notes.note import Note
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.recording_runs import comes_back, row_columns, runs_of
from headrace.stores.source.signals import find_flat
from headrace.stores.text import counted, listed

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
        arrays: first rows and lengths, and the columns that are used.
        node: what other columns stand in.
        notes: what was seen while they were found.
    """

    start: NDArray[np.int64]
    length: NDArray[np.int64]
    group: NameColumn | None
    part: NameColumn | None
    group_code: Codes
    part_code: Codes
    arrays: tuple[SourceArray, ...]
    node: SourceNode
    notes: tuple[Note, ...] = ()

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
    if options.lengths is not None:
        return _of_lengths(file, options.lengths, rows, options)
    node = _table_group(file, options)
    if node is None:
        return _of_runs(file, rows, options)
    places = [
        _whole_numbers(node, option, getattr(options, option))
        for option in ("start_column", "length_column")
    ]
    group, part = _names(node, options)
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


def column_texts(array: SourceArray) -> list[str]:
    """Every value of a short column, as text; whole numbers without a point.

    Raises:
        UserError: it holds neither texts in UTF-8 nor numbers.
    """
    if array.dtype.kind in "SOU":
        try:
            return [str(text) for text in array.texts(0, rows_of(array)).tolist()]
        except (UnicodeDecodeError, TypeError) as error:
            raise SourceError(
                f"{array.where} holds what is no text in UTF-8 ({first_line(error)}). Correct it, "
                "or name another column."
            ) from error
    values = array.read(0, rows_of(array))
    if values.dtype.kind == "f" and (values == np.trunc(values)).all():
        values = values.astype(np.int64)
    return [str(value) for value in values.tolist()]


def _of_runs(file: SourceNode, rows: int, options: SourceOptions) -> RecordingTable:
    """Recordings are runs of rows with equal values of the columns that there are."""
    named = row_columns(file, options)
    group, part = _names(file, options)
    columns = [*named, *(column for column in (group, part) if column is not None)]
    start, codes = runs_of(columns, rows)
    length = np.diff(start, append=rows)
    code = {id(column): codes[:, place] for place, column in enumerate(columns)}
    nobody = np.full(len(start), -1, dtype=np.int32)
    where = f"{file.where} {USUAL_TABLE}"
    return RecordingTable(
        start,
        length,
        group,
        part,
        code.get(id(group), nobody),
        code.get(id(part), nobody),
        (
            HeldArray(options.start_column, where, start),
            HeldArray(options.length_column, where, length),
            *(column.array for column in columns),
        ),
        file,
        _notes_of_runs(columns, codes),
    )


def _of_lengths(file: SourceNode, name: str, rows: int, options: SourceOptions) -> RecordingTable:
    """Recordings of their own lengths, each padded to that of a window of the file."""
    lengths = find_flat(file, "lengths", name, ())
    assert lengths is not None
    length = lengths.read(0, rows_of(lengths)).astype(np.int64)
    most = rows // max(1, len(length))
    if lengths.dtype.kind not in "iuf" or most * len(length) != rows:
        raise SourceError(
            f"{lengths.where} is {lengths.dtype} {lengths.shape}; one whole number is needed for "
            "each of the signals' windows. Name another dataset with source.lengths."
        )
    wrong = np.flatnonzero((length < 0) | (length > most))
    if len(wrong):
        raise SourceError(
            f"{lengths.where} says that recording {wrong[0]} has {length[wrong[0]]} rows, and a "
            f"window has {most}. Correct it."
        )
    start = np.arange(len(length), dtype=np.int64) * most
    group, part = _names(file, options)
    columns = [column for column in (group, part) if column is not None]
    codes = [_codes_at(column, start, rows) for column in columns]
    nobody = np.full(len(start), -1, dtype=np.int32)
    code = {id(column): each for column, each in zip(columns, codes, strict=True)}
    places = (HeldArray(options.start_column, lengths.where, start), lengths)
    return RecordingTable(
        start,
        length,
        group,
        part,
        code.get(id(group), nobody),
        code.get(id(part), nobody),
        (*places, *(column.array for column in columns)),
        file,
    )


def _codes_at(column: NameColumn, start: NDArray[np.int64], rows: int) -> Codes:
    """Of each recording, of a column of one entry a recording or one a row."""
    if len(column) not in (len(start), rows):
        raise SourceError(
            f"{column.array.where} has {len(column)} entries for {len(start)} recordings; one "
            "each is needed. Correct the file, or name another column."
        )
    codes = column.read(0, len(column))
    return codes if len(column) == len(start) else codes[start]


def _notes_of_runs(columns: Sequence[NameColumn], codes: Codes) -> tuple[Note, ...]:
    back = list(comes_back(columns, codes))
    if not back:
        return ()
    text = (
        f"{counted(len(codes), 'recording')} of {counted(len(columns[0].names), 'group')}: runs of "
        f"equal {columns[0].array.name.strip('/')}. {listed(back)} come back after others, as a "
        "new recording of the same group."
    )
    return (Note(text, "source.recordings"),)


def _names(node: SourceNode, options: SourceOptions) -> tuple[NameColumn | None, NameColumn | None]:
    """The columns of groups and of the official split.

    Raises:
        UserError: there are no groups, and the options do not say so.
    """
    group = None
    if not options.split_by_window:
        found = find_flat(node, "groups", options.groups, USUAL_GROUPS)
        if found is None:
            raise no_groups(node, USUAL_GROUPS)
        group = NameColumn(found, "groups")
    found = find_flat(node, "split", options.split, USUAL_SPLIT)
    return group, None if found is None else NameColumn(found, "split")


def _table_group(file: SourceNode, options: SourceOptions) -> SourceNode | None:
    """The table of recordings; None: there is none, or `source.recordings` names columns of rows.

    Raises:
        UserError: what is named is not there.
    """
    if isinstance(options.recordings, list) or options.recordings == "":
        return None
    name = options.recordings or USUAL_TABLE
    node = file.group(name)
    if node is None and options.recordings and file.array(name) is None:
        raise SourceError(
            f"{file.where} has no group {name} with the columns {options.start_column} and "
            f"{options.length_column}, one entry per recording, and no column of one entry a row. "
            f"It holds: {file.contents()}. Name one with source.recordings."
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
