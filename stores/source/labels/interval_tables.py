"""Tables of labelled intervals: one of all recordings, or one beside each recording's files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import rows_of
from headrace.stores.source.derived.held import HeldArray
from headrace.stores.source.files.each_recording import EachRecording
from headrace.stores.source.files.files import FILE, MAY_LACK
from headrace.stores.source.formats.columns import TABLE
from headrace.stores.source.formats.one_file import no_files_beside
from headrace.stores.source.interface import SourceArray, SourceFile, SourceNode
from headrace.stores.source.label_options import IntervalOptions
from headrace.stores.source.labels.texts import column_texts
from headrace.stores.source.names import first_places, joined_texts, plain_number
from headrace.stores.source.notes.note import Note
from headrace.stores.source.recording_table import RecordingTable

PLACES = ("start", "length")
"""Columns of the table of recordings that tell none from another."""
NEEDED = ("start", "stop", "label")
RECORDING = "recording"
"""A column of numbers of recordings, where their table has none of that name."""


@dataclass(frozen=True)
class IntervalTable:
    """Labelled intervals of recordings, as they are written.

    Attributes:
        where: the table, or the pattern of many, for errors.
        columns: start, stop and label, (n,) each.
        recording: (n,) int64, whose each is: row of the table of recordings.
        notes: what is to be told.
        files: of many tables what each is called, and the number of its first interval.
    """

    where: str
    columns: Mapping[str, SourceArray]
    recording: NDArray[np.int64]
    notes: tuple[Note, ...] = ()
    files: Sequence[tuple[str, int]] = ()

    def row(self, number: int, short: bool = False) -> str:
        """Where an interval stands: `Row 3 of labels.csv`."""
        before = [(where, first) for where, first in self.files if first <= number]
        where, first = before[-1] if before else (self.where, 0)
        return f"row {number - first + 1}" if short else f"Row {number - first + 1} of {where}"


def one_table(node: SourceNode, options: IntervalOptions, table: RecordingTable) -> IntervalTable:
    """The intervals of one table: columns that it shares with that of recordings say whose one is.

    Raises:
        UserError: a column is missing, or an interval is of no recording.
    """
    found = _columns(node, options)
    recording, noted = _owners(node, found, table, options)
    return IntervalTable(node.where, found, recording, noted)


def table_of_each(
    file: SourceFile, options: IntervalOptions, table: RecordingTable
) -> IntervalTable:
    """The intervals of the tables beside all recordings, which their fields name.

    Raises:
        UserError: one is missing, or lacks a column; recordings are no files.
    """
    row_of = {owner: row for row, owner in enumerate(table.owner.tolist())}
    if (
        not isinstance(file, EachRecording)
        or file.census is None
        or len(row_of) != len(table.start)
    ):
        raise no_files_beside(file.where, options.file)
    pattern = options.file if options.lacking == "error" else MAY_LACK + options.file
    try:
        file.census.number_beside(0, pattern)
    except SourceError as error:
        raise SourceError(
            f"{error} Where no table means no interval, set source.intervals.lacking = "
            '"unlabelled".'
        ) from error
    parts: dict[str, list[Any]] = {name: [] for name in NEEDED}
    files, recording, count = [], [], 0
    for number in range(file.count):
        with ExitStack() as closing:
            for node in file.opened_beside(number, pattern, closing):
                found = _columns(node, options)
                for name in NEEDED:
                    parts[name].append(_values(found[name], name))
                files.append((node.where, count))
                recording += [row_of[number]] * rows_of(found["label"])
                count = len(recording)
    where = str(file.folder / options.file)
    columns = {name: HeldArray(name, where, _joined(each)) for name, each in parts.items()}
    return IntervalTable(where, columns, np.array(recording, np.int64), (), files)


def _values(array: SourceArray, name: str) -> Any:
    if name == "label" or array.dtype.kind in "SOU":
        return column_texts(array)
    return array.read(0, rows_of(array))


def _joined(parts: Sequence[Any]) -> Any:
    """Of texts and numbers texts; tables without a row, or none at all, are of any type."""
    filled = [part for part in parts if len(part)]
    if any(isinstance(part, list) for part in filled):
        return [str(value) for part in filled for value in part]
    return np.concatenate(filled) if filled else np.empty(0)


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
    keys = joined_texts(columns[name] for name in shared)
    number, twice = first_places(keys)
    if twice is not None:
        raise SourceError(
            f"Two recordings have {' and '.join(shared)} = {', '.join(keys[twice[0]])}, so that "
            f"{node.where} cannot say which of them an interval is of. Give it one more column."
        )
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
