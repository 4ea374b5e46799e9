"""The table of recordings: where each lies in the signals, and its group and part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import require_array, rows_of
from headrace.stores.source.derived.cut import cut_to
from headrace.stores.source.interface import SourceArray, SourceNode
from headrace.stores.source.labels.classes import no_groups
from headrace.stores.source.labels.row_groups import cut_by_names
from headrace.stores.source.labels.texts import label_texts
from headrace.stores.source.names import Codes, NameColumn
from headrace.stores.source.notes.note import Note
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.signals import find_flat, names_of
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
        arrays: the columns that are used.
        node: the table as it is stored; None: there is none.
        owner: (R,) the row of the stored table that each is of, or is a piece of.
        notes: what was seen while they were found.
    """

    start: NDArray[np.int64]
    length: NDArray[np.int64]
    group: NameColumn | None
    part: NameColumn | None
    group_code: Codes
    part_code: Codes
    arrays: tuple[SourceArray, ...]
    node: SourceNode | None
    owner: NDArray[np.int64]
    notes: tuple[Note, ...] = ()

    def whole_labels(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
        """Rows and label of each recording, by a column of this table.

        Raises:
            UserError: there is no such column.
        """
        if self.node is None:
            raise SourceError(
                f"source.label_column = {name!r} is a column of the table of recordings, and there "
                "is none. Set source.labels to a column of one label a row."
            )
        array = find_flat(self.node, "label_column", name, ())
        assert array is not None
        labels, order = label_texts(array), np.argsort(self.start, kind="stable")
        ordered = [labels[row] for row in self.owner[order].tolist()]
        return self.start[order], (self.start + self.length)[order], ordered


def read_table(file: SourceNode, rows: int, options: SourceOptions) -> RecordingTable:
    """Read the table of recordings into signals of `rows` rows.

    Groups and parts are its columns, else columns of one name a row: recordings are then cut where
    they change. Without a table the signals are one recording.

    Raises:
        UserError: the table or a column is missing, columns differ in length, a recording lies
            outside the signals, or two overlap.
    """
    node = _table_group(file, options)
    places = _places(file, node, options)
    count = 1 if len(places) == 0 else rows_of(places[-1])
    counts = count, rows, options.max_cut_rows
    group = None
    if not options.split_by_window:
        group = _column(file, node, counts, "groups", options.groups, USUAL_GROUPS)
        if group is None:
            raise no_groups(node or file, USUAL_GROUPS)
    part = _column(file, node, counts, "split", options.split, USUAL_SPLIT)
    named = _row_columns(file, node, rows, options)
    found = [*filter(None, (group, part)), *((column, True) for column in named)]
    arrays = (*places, *(column.array for column, _ in found))
    _check_lengths([*places, *(column.array for column, by_row in found if not by_row)])
    start, length = _starts_and_lengths(node, places, rows, options)
    owner = np.arange(len(start))
    by_row = [column for column, by_row in found if by_row]
    codes: dict[int, Codes] = {}
    notes: tuple[Note, ...] = ()
    if by_row:
        start, length, owner, cut = cut_by_names(start, length, by_row)
        codes = {id(column): each for column, each in zip(by_row, cut, strict=True)}
        notes = _who_comes_back(group, codes)
    group_code, part_code = (
        np.full(len(start), -1, dtype=np.int32)
        if each is None
        else codes[id(each[0])]
        if each[1]
        else each[0].read(0, rows_of(each[0].array))[owner]
        for each in (group, part)
    )
    return RecordingTable(
        start,
        length,
        None if group is None else group[0],
        None if part is None else part[0],
        group_code,
        part_code,
        arrays,
        node,
        owner,
        notes,
    )


def _places(file: SourceNode, node: SourceNode | None, options: SourceOptions) -> list[SourceArray]:
    """Columns of first rows and lengths; of lengths alone where recordings are padded to one."""
    if options.lengths is not None:
        lengths = find_flat(file, "lengths", options.lengths, ())
        assert lengths is not None
        return [lengths]
    if node is None:
        return []
    return [
        _whole_numbers(node, option, getattr(options, option))
        for option in ("start_column", "length_column")
    ]


def _starts_and_lengths(
    node: SourceNode | None, places: Sequence[SourceArray], rows: int, options: SourceOptions
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First row and rows of each recording, checked."""
    if not places:
        return np.zeros(1, np.int64), np.full(1, rows, np.int64)
    read = [each.read(0, rows_of(each)).astype(np.int64) for each in places]
    if options.lengths is None:
        start, length = read
        assert node is not None
        _check_places(node, start, length, rows)
        return start, length
    (length,), where = read, places[0].where
    most = rows // max(1, len(length))
    if places[0].dtype.kind not in "iuf" or most * len(length) != rows:
        raise SourceError(
            f"{where} is {places[0].dtype} {places[0].shape}; one whole number is needed for each "
            "of the signals' windows. Name another dataset with source.lengths."
        )
    wrong = np.flatnonzero((length < 0) | (length > most))
    if len(wrong):
        raise SourceError(
            f"{where} says that recording {wrong[0]} has {length[wrong[0]]} rows, and a window has "
            f"{most}. Correct it."
        )
    return np.arange(len(length), dtype=np.int64) * most, length


def _row_columns(
    file: SourceNode, node: SourceNode | None, rows: int, options: SourceOptions
) -> list[NameColumn]:
    """The columns of one entry a row that `source.recordings` names.

    Raises:
        UserError: one is missing, or has no entry for each row.
    """
    if node is not None:
        return []
    found = [find_flat(file, "recordings", name, ()) for name in names_of(options.recordings)]
    for array in found:
        if array is not None and rows_of(array) != rows:
            raise SourceError(
                f"{array.where} has {rows_of(array):,} entries for the {rows:,} rows of the "
                "signals: one a row is needed. Name another with source.recordings."
            )
    return [NameColumn(array, "recordings") for array in found if array is not None]


def _who_comes_back(
    group: tuple[NameColumn, bool] | None, codes: dict[int, Codes]
) -> tuple[Note, ...]:
    """Says that someone whose rows do not stand together has a recording for each run of them."""
    if group is None or id(group[0]) not in codes or len(codes) > 1:
        return ()
    column, own = group[0], codes[id(group[0])]
    numbers, counts = np.unique(own, return_counts=True)
    back = [column.names[number] for number in numbers[counts > 1].tolist()]
    if not back:
        return ()
    text = (
        f"{counted(len(own), 'recording')} of {counted(len(column.names), 'group')}: runs of equal "
        f"{column.array.name.strip('/')}. {listed(back)} come back after others, as a new "
        "recording of the same group."
    )
    return (Note(text, "source.recordings"),)


def _column(
    file: SourceNode,
    node: SourceNode | None,
    counts: tuple[int, int, int],
    option: str,
    named: str | None,
    usual: Sequence[str],
) -> tuple[NameColumn, bool] | None:
    """A column of the table, else one of a name a row or a recording; and whether it is by row.

    Raises:
        UserError: `named` is given and is neither.
    """
    if node is not None:
        found = find_flat(node, option, None if named is None else "", usual)
        if named:
            found = find_flat(node, option, None, (named,))
        if found is not None:
            return NameColumn(found, option), False
    if named == "":
        return None
    found = find_flat(file, option, None, usual if named is None else (named,))
    recordings, rows, most_cut = counts
    found = None if found is None else cut_to(found, rows, most_cut)
    if found is not None and rows_of(found) in (rows, recordings):
        return NameColumn(found, option), rows_of(found) == rows
    if named is not None and found is not None:
        raise SourceError(
            f"{found.where} has {rows_of(found):,} entries for the {rows:,} rows of the signals"
            f"{f' and {recordings:,} recordings' if recordings > 1 else ''}: one each is needed. "
            f"Name another with source.{option}."
        )
    if named is not None:
        find_flat(node or file, option, named, usual)
    return None


def _table_group(file: SourceNode, options: SourceOptions) -> SourceNode | None:
    """The table of recordings; None: there is none, or `source.recordings` names columns of rows.

    Raises:
        UserError: what is named is not there.
    """
    if isinstance(options.recordings, list) or options.recordings == "" or options.lengths:
        return None
    name = options.recordings or USUAL_TABLE
    node = file.group(name)
    if node is None and options.recordings is not None and file.array(name) is None:
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
