"""Small tables of text as they are written: of files, or of what is known of each recording."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from headrace.stores.errors import SourceContentError, SourceError, first_line
from headrace.stores.io.places import Place, storage_of
from headrace.stores.source.arrays import commands
from headrace.stores.source.formats.text_encoding import encoding_of, not_utf8

MOST_BYTES = 256 << 20
"""Of a table that has one row a recording."""
LOOKED_AT = 1 << 16
"""Bytes of a file that tell whether it is such a table."""
SEPARATORS = ("\t", ";", ",")
MARK = "\ufeff"
"""Begins a text whose encoding is said by it."""
AROUND = 1 << 16
"""Bytes before and behind a wrong one that tell which encoding it may be of."""


@dataclass(frozen=True)
class TableRows:
    """A table, every cell as text without blanks around it.

    Attributes:
        where: the file.
        columns: names of the columns, and their cells.
        lines: of each row, its line in the file, from 1.
    """

    where: str
    columns: dict[str, list[str]]
    lines: list[int]

    def only(self, rows: Sequence[int]) -> TableRows:
        """Some of its rows."""
        columns = {name: [cells[row] for row in rows] for name, cells in self.columns.items()}
        return TableRows(self.where, columns, [self.lines[row] for row in rows])


def read_rows(place: Place, encoding: str | None) -> TableRows:
    """Read a table with a header; `01` stays `01`.

    Cells stand between commas, semicolons, tabs or blanks, with quotes or without. Blank lines and
    lines that begin with # are no rows.

    Args:
        place: the file.
        encoding: of its letters; None: UTF-8, or what a mark says.

    Raises:
        UserError: it cannot be read, is no such table, or is longer than 256 MiB.
    """
    return _table(str(place), _text(place, MOST_BYTES, encoding).splitlines())


def first_rows(place: Place, encoding: str | None) -> TableRows | None:
    """The beginning of a table, as `read_rows` finds it; None: it is none."""
    try:
        with storage_of(place).open() as file:
            raw = file.read(LOOKED_AT) or b""
        found = encoding_of(raw, encoding)
        text = raw.decode(found.name if found else "utf-8", errors="replace").removeprefix(MARK)
        lines = text.splitlines()
        return _table(str(place), lines[:-1] if len(text) >= LOOKED_AT // 4 else lines)
    except (OSError, SourceError):
        return None


def _text(place: Place, most: int, encoding: str | None) -> str:
    try:
        size = storage_of(place).size()
        if size > most:
            raise SourceError(
                f"{place} has {size:,} bytes; a table with a row a recording has {most:,} at most."
            )
        content = b"".join(storage_of(place).parts())
    except OSError as error:
        raise SourceError(f"{place} cannot be read ({first_line(error)}).") from error
    found = encoding_of(content, encoding)
    if found is not None:
        content = found.utf8(content, str(place), 0)
    try:
        return content.decode().removeprefix(MARK)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        around = content[max(0, error.start - AROUND) : error.end + AROUND]
        raise not_utf8(f"{place}, line {line:,}", around, error) from error


def _table(where: str, text: Sequence[str]) -> TableRows:
    rows = _cells(where, text)
    names, _ = next(rows, ([], 0))
    if not names:
        raise SourceContentError(f"{where} has no header. Write the names of its columns first.")
    if len(set(names)) < len(names) or "" in names or any(map(commands, "".join(names))):
        raise SourceContentError(
            f"{where} has the columns {', '.join(map(repr, names[:20]))}; each needs a name of its "
            "own. Correct the header."
        )
    columns: list[list[str]] = [[] for _ in names]
    lines = []
    for cells, line in rows:
        if len(cells) != len(names):
            raise SourceContentError(
                f"{where}, line {line:,} has {len(cells):,} cells, and the table has "
                f"{len(names):,} columns. Correct the file."
            )
        for column, cell in zip(columns, cells, strict=True):
            column.append(cell)
        lines.append(line)
    return TableRows(where, dict(zip(names, columns, strict=True)), lines)


def _cells(where: str, text: Sequence[str]) -> Iterator[tuple[list[str], int]]:
    """Cells and line of each row, the header first; no cell holds the end of a line."""
    separator: str | None = None
    for line, row in enumerate(text, 1):
        stripped = row.strip(" ")
        if not stripped.strip("\t;, ") or stripped.startswith("#"):
            continue
        if separator is None:
            separator = _separator(stripped)
        if not separator:
            yield [stripped.strip().strip('"')], line
            continue
        if stripped.count('"') % 2:
            raise SourceContentError(
                f"{where}, line {line:,} has a quote that does not close. Correct the file."
            )
        try:
            (cells,) = csv.reader([stripped], delimiter=separator, skipinitialspace=True)
        except (csv.Error, ValueError) as error:
            raise SourceContentError(
                f"{where}, line {line:,} cannot be read ({first_line(error)}). Correct the file."
            ) from error
        yield [cell.strip() for cell in cells], line


def _separator(header: str) -> str:
    outside = "".join(header.split('"')[::2])
    found = next((each for each in SEPARATORS if each in outside), "")
    return found or (" " if " " in outside.strip() else "")
