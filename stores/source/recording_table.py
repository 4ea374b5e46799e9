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
from headrace.stores.source.row_groups import cut_by_names
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
        node: the table as it is stored; None: there is none.
        owner: (R,) the row of the stored table that each is of, or is a piece of.
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
    places: list[SourceArray] = []
    if node is not None:
        places = [
            _whole_numbers(node, option, getattr(options, option))
            for option in ("start_column", "length_column")
        ]
    group = None
    if not options.split_by_window:
        group = _column(file, node, rows, "groups", options.groups, USUAL_GROUPS)
        if group is None:
            raise no_groups(node or file, USUAL_GROUPS)
    part = _column(file, node, rows, "split", options.split, USUAL_SPLIT)
    arrays = (*places, *(column.array for column, _ in filter(None, (group, part))))
    listed = [found.array for found, by_row in filter(None, (group, part)) if not by_row]
    _check_lengths([*places, *listed])
    if node is None:
        start, length = np.zeros(1, np.int64), np.full(1, rows, np.int64)
    else:
        start, length = (each.read(0, rows_of(each)).astype(np.int64) for each in places)
        _check_places(node, start, length, rows)
    owner = np.arange(len(start))
    by_row = [column for column, by_row in filter(None, (group, part)) if by_row]
    codes: dict[int, Codes] = {}
    if by_row:
        start, length, owner, found = cut_by_names(start, length, by_row)
        codes = {id(column): each for column, each in zip(by_row, found, strict=True)}
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
    )


def _column(
    file: SourceNode,
    node: SourceNode | None,
    rows: int,
    option: str,
    named: str | None,
    usual: Sequence[str],
) -> tuple[NameColumn, bool] | None:
    """A column of the table, else one of a name a row; and whether it is that.

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
    if found is not None and rows_of(found) == rows:
        return NameColumn(found, option), True
    if named is not None:
        find_flat(node or file, option, named, usual)
    return None


def column_texts(array: SourceArray) -> list[str]:
    """Every value of a short column, as text; whole numbers without a point, "" where none is.

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
    if values.dtype.kind != "f":
        return [str(value) for value in values.tolist()]
    there = np.isfinite(values)
    if (values[there] == np.trunc(values[there])).all() and (np.abs(values[there]) < 2**63).all():
        texts = [str(value) for value in np.where(there, values, 0).astype(np.int64).tolist()]
    else:
        texts = [str(value) for value in values.tolist()]
    return [text if known else "" for text, known in zip(texts, there.tolist(), strict=True)]


def label_texts(array: SourceArray) -> list[str]:
    """`column_texts` of which each row has one.

    Raises:
        UserError: one has none; as `column_texts`.
    """
    texts = column_texts(array)
    empty = next((row for row, text in enumerate(texts) if not text.strip()), None)
    if empty is not None:
        raise SourceError(
            f"Row {empty + 1} of {array.where} has no label. Write one, such as unlabelled, and "
            "leave it out with source.exclude_labels."
        )
    return texts


def _table_group(file: SourceNode, options: SourceOptions) -> SourceNode | None:
    name = options.recordings or USUAL_TABLE
    node = file.group(name)
    if node is None and options.recordings is not None:
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
