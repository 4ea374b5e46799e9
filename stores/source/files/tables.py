"""Tables of files, and tables that say more of each recording than its name does."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from headrace.stores.errors import SourceError
from headrace.stores.io.places import Place
from headrace.stores.source.file_patterns import (
    FIELD,
    LEAVE_OUT,
    compiled,
    idle_note,
    without_left_out,
)
from headrace.stores.source.files.files import FILE, SourceFiles
from headrace.stores.source.files.kinds import ending_of
from headrace.stores.source.files.listing import Inside
from headrace.stores.source.files.side_tables import ABOVE, table_place
from headrace.stores.source.files.states import touched
from headrace.stores.source.files.table_rows import TableRows, first_rows, read_rows
from headrace.stores.source.formats.opening import TEXTS
from headrace.stores.source.names import first_places, joined_texts
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.signals import names_of
from headrace.stores.text import shown

SHOWN_ROWS = 3
LOOKED_AT_ROWS = 100
NAMES = frozenset(
    f"{of}{what}"
    for of in ("", "audio", "csv", "data", "rec", "record", "recording", "relative", "sensor",
               "signal")
    for what in ("file", "files", "filename", "filenames", "filepath", "path", "paths", "name")
)  # fmt: skip
"""Columns that may hold names of files, in lower case, without what stands between their words."""
FORMATS = frozenset(
    (*TEXTS, ".h5", ".hdf5", ".hdf", ".mat", ".npy", ".npz", ".parquet", ".pq", ".zarr", ".zip",
     ".nwb", ".snirf", ".edf", ".hea", ".dat", ".gz")
)  # fmt: skip


def is_table_of_files(place: Place, options: SourceOptions) -> bool:
    """Whether a file lists recordings in a column of names of files, and holds none itself."""
    if ending_of(place.name) not in TEXTS:
        return False
    table = first_rows(place, options.encoding)
    named = {*names_of(options.signals), *names_of(options.windows)}
    if table is None or named & set(table.columns):
        return False
    if FILE not in table.columns:
        return bool(_called_alike(table, place.parent))
    looked_at = [_plain_name(each) for each in table.columns[FILE][:LOOKED_AT_ROWS]]
    inside = Inside(place.parent)
    return any(
        ending_of(name) in FORMATS or ".." in name or inside.problem(name) is None
        for name in looked_at
    )


def _called_alike(table: TableRows, folder: Place) -> list[str]:
    """Columns called like `file` that hold names of files that are there."""
    inside = Inside(folder)
    return [
        column
        for column, cells in table.columns.items()
        if re.sub(r"[\W_]+", "", column.lower()) in NAMES
        and any(
            ending_of(name) in FORMATS and inside.problem(name) is None
            for name in map(_plain_name, cells[:LOOKED_AT_ROWS])
        )
    ]


def _with_files(table: TableRows, place: Place) -> tuple[TableRows, tuple[str, ...]]:
    """The table with its files in the column `file`, and what is to be told of that.

    Raises:
        UserError: several columns hold names of files.
    """
    if FILE in table.columns:
        return table, ()
    found = _called_alike(table, place.parent)
    if len(found) != 1:
        raise SourceError(
            f"{place} has {len(found)} columns that hold names of files: {shown(found)}. Call "
            f"the one to be read {FILE}."
        )
    columns = {FILE if name == found[0] else name: cells for name, cells in table.columns.items()}
    said = f"The column {found[0]} of {place} names the files of the recordings."
    return TableRows(table.where, columns, table.lines), (said,)


def read_table_of_files(
    place: Place, patterns: Sequence[str], encoding: str | None = None
) -> SourceFiles:
    """The files that a table lists, in its order, with its other columns.

    Args:
        place: the table; names of files are relative to its folder.
        patterns: one whose fields become columns too, or none.
        encoding: as in `read_rows`.

    Raises:
        UserError: it cannot be read; a file is listed twice, is not there, or is out of the folder
            of the table; names the rows.
    """
    seen = {place.name: touched(place)}
    table, said = _with_files(read_rows(place, encoding), place)
    names = [_plain_name(each) for each in table.columns[FILE]]
    said += idle_note(names, patterns)
    kept, patterns = without_left_out(names, patterns)
    taken = set(kept)
    table = table.only([at for at, name in enumerate(names) if name in taken])
    names = kept
    if not names:
        raise SourceError(f"{place} lists no file, or source.files leaves out all of them.")
    _require_files(table, names, place.parent)
    _, twice = first_places(names)
    if twice is not None:
        one, two = (table.lines[row] for row in twice)
        raise SourceError(
            f"{place}, line {two:,} lists {names[twice[0]]} again: line {one:,} has it too. Keep "
            "one of them."
        )
    columns: dict[str, Sequence[str]] = {
        column: cells for column, cells in table.columns.items() if column != FILE
    }
    columns |= _fields(names, patterns, place)
    listed = tuple((name,) for name in names)
    columns[FILE] = names
    return SourceFiles(place.parent, listed, columns, said=said, tables=seen)


def with_table(files: SourceFiles, name: str, encoding: str | None = None) -> SourceFiles:
    """The same files with the columns of a table that shares some of theirs.

    Args:
        files: with the fields of their names.
        name: of the table, in their folder or beside it. Equal numbers are equal: 01 is 1.
        encoding: as in `read_rows`.

    Raises:
        UserError: it is not there, shares no column, has two rows of one recording or none of one.
    """
    found = _found(files.folder, name)
    seen = {found: touched(table_place(files.folder, found))}
    table = read_rows(table_place(files.folder, found), encoding)
    shared = [column for column in table.columns if column in files.columns]
    if not shared:
        raise SourceError(
            f"{table.where} has the columns {shown(list(table.columns))}, and the files' names "
            f"give {shown(list(files.columns))}: none is in both. Name a field of source.files as "
            "the table does."
        )
    listed = _keys(table.columns[column] for column in shared)
    row_of, twice = first_places(listed)
    if twice is not None:
        one, two = (table.lines[row] for row in twice)
        raise SourceError(
            f"{table.where} has two rows of {_said(shared, listed[twice[0]])}: lines {one:,} and "
            f"{two:,}. Keep one of them."
        )
    keys = _keys(files.columns[column] for column in shared)
    lacking = [at for at, key in enumerate(keys) if key not in row_of]
    if lacking:
        at = lacking[0]
        more = f", nor for {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise SourceError(
            f"{table.where} has no row for {files.names[at][0]} "
            f"({_said(shared, keys[at])}){more}. Add it, or leave the file out: in source.files "
            f"{LEAVE_OUT}."
        )
    rows = [row_of[key] for key in keys]
    added = {
        column: [cells[row] for row in rows]
        for column, cells in table.columns.items()
        if column not in shared
    }
    columns = {**files.columns, **added}
    return replace(files, columns=columns, tables={**files.tables, **seen})


def _found(folder: Place, name: str) -> str:
    """The name of a table in the folder, or beside it.

    Raises:
        UserError: it is in neither.
    """
    above = Inside(folder.parent).problem(name)
    if (problem := Inside(folder).problem(name)) is None or above is None:
        return name if problem is None else ABOVE + name
    raise SourceError(
        f"source.table = {name!r} {problem}: it is looked for in {folder} and beside it. "
        "Name a file in there."
    )


def _require_files(table: TableRows, names: Sequence[str], folder: Place) -> None:
    inside = Inside(folder)
    wrong = [
        (table.lines[row], name, what)
        for row, name in enumerate(names)
        if (what := inside.problem(name) if name else "is no name") is not None
    ]
    if wrong:
        listed = "; ".join(
            f"line {line:,}: {name or 'an empty cell'} {what}"
            for line, name, what in wrong[:SHOWN_ROWS]
        )
        more = f"; and {len(wrong) - SHOWN_ROWS:,} more" if len(wrong) > SHOWN_ROWS else ""
        raise SourceError(
            f"{table.where}, {listed}{more}. Files are looked for in {folder}: correct the table."
        )


def _fields(
    names: Sequence[str], patterns: Sequence[str], place: Place
) -> dict[str, Sequence[str]]:
    if not patterns:
        return {}
    if len(patterns) > 1:
        raise SourceError(
            f"source.files has {len(patterns)} patterns, and {place} lists one file a recording. "
            "Keep one of them, or name the folder."
        )
    found = [compiled(patterns[0]).fullmatch(name) for name in names]
    for name, match in zip(names, found, strict=True):
        if match is None:
            raise SourceError(
                f"{name}, which {place} lists, does not match source.files = {patterns[0]!r}. "
                "Correct one of the two."
            )
    fields = dict.fromkeys(FIELD.findall(patterns[0]))
    return {field: [match[field] for match in found if match] for field in fields}


def _plain_name(name: str) -> str:
    """A name of a file as folders list it: ./a.csv is a.csv."""
    return posixpath.normpath(name) if name and ".." not in name.split("/") else name


def _keys(columns: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    return joined_texts([_plain_name(each) for each in cells] for cells in columns)


def _said(columns: Sequence[str], key: Sequence[str]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in zip(columns, key, strict=True))
