"""The table of recordings: where each lies in the signals, and its group and part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.classes import no_groups
from headrace.stores.source.hdf5 import contents, describe, find_dataset, require_dataset, resolve
from headrace.stores.source.names import Codes, NameColumn
from headrace.stores.source.options import SourceOptions

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
        datasets: the h5py datasets of the columns that are used.
    """

    start: NDArray[np.int64]
    length: NDArray[np.int64]
    group: NameColumn | None
    part: NameColumn | None
    group_code: Codes
    part_code: Codes
    datasets: tuple[Any, ...]


def read_table(file: Any, rows: int, options: SourceOptions) -> RecordingTable:
    """Read the table of recordings into signals of `rows` rows.

    Raises:
        UserError: the table or a column is missing, columns differ in length, a recording lies
            outside the signals, or two overlap.
    """
    node = _table_group(file, options)
    start = _whole_numbers(node, "start_column", options.start_column)
    length = _whole_numbers(node, "length_column", options.length_column)
    group = None
    if not options.split_by_window:
        found = find_dataset(node, "groups", options.groups, USUAL_GROUPS)
        if found is None:
            raise no_groups(node, USUAL_GROUPS)
        group = NameColumn(found, "groups")
    found = find_dataset(node, "split", options.split, USUAL_SPLIT)
    part = None if found is None else NameColumn(found, "split")
    columns = [column.dataset for column in (group, part) if column is not None]
    datasets = (node[options.start_column], node[options.length_column], *columns)
    _check_lengths(datasets)
    _check_places(node, start, length, rows)
    return RecordingTable(
        start, length, group, part, _codes(group, len(start)), _codes(part, len(start)), datasets
    )


def _table_group(file: Any, options: SourceOptions) -> Any:
    name = options.recordings or USUAL_TABLE
    node = resolve(file, name)
    if not isinstance(node, h5py.Group):
        raise SourceError(
            f"{file.filename} has no group {name} with the columns {options.start_column} and "
            f"{options.length_column}, one entry per recording. It holds: {contents(file)}. Name "
            "the group with source.recordings."
        )
    return node


def _whole_numbers(node: Any, option: str, name: str) -> NDArray[np.int64]:
    dataset = require_dataset(node, option, None, (name,))
    if dataset.dtype.kind not in "iu" or len(dataset.shape) != 1 or dataset.shape[0] == 0:
        raise SourceError(
            f"{describe(dataset)} is {dataset.dtype} {dataset.shape}; one whole number per "
            f"recording is needed. Name another column with source.{option}."
        )
    values: NDArray[np.int64] = dataset[()].astype(np.int64)
    return values


def _codes(column: NameColumn | None, rows: int) -> Codes:
    return np.full(rows, -1, dtype=np.int32) if column is None else column.read(0, rows)


def _check_lengths(columns: Sequence[Any]) -> None:
    for column in columns:
        if column.shape[0] != columns[0].shape[0]:
            raise SourceError(
                f"{describe(column)} has {column.shape[0]} entries, "
                f"{columns[0].name} has {columns[0].shape[0]}: one per recording is needed. "
                "Correct the file, or name another column."
            )


def _check_places(
    node: Any, start: NDArray[np.int64], length: NDArray[np.int64], rows: int
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
    node: Any, rows: NDArray[np.int64], start: NDArray[np.int64], length: NDArray[np.int64]
) -> str:
    listed = ", ".join(
        f"{row} (rows {start[row]} to {int(start[row]) + int(length[row])})"
        for row in rows[:SHOWN_ROWS].tolist()
    )
    more = ", ..." if len(rows) > SHOWN_ROWS else ""
    return f"In {node.file.filename} {node.name} the recordings {listed}{more} lie"
