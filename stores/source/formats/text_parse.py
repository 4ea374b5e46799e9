"""Cells of a table of text as columns of numbers and texts, and what is wrong with a line."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from headrace.stores.errors import SourceContentError
from headrace.stores.source.formats.text_clean import clean, line_of_row, newlines, rows_in
from headrace.stores.source.formats.text_dialect import EMPTY_CELLS, Dialect, undamaged
from headrace.stores.source.formats.text_encoding import not_utf8

_COMMENT = re.compile(rb"(?:\A|(?<=[\r\n]))[ \t]*([#%][^\r\n]*)")
EMPTY, INTEGER, NUMBER, TEXT = range(4)
"""Kinds of cells. A column is of the highest of its cells' kinds."""


class Lines(NamedTuple):
    """Whole lines of a table, below its header.

    Attributes:
        where: the file.
        dialect: how the table is written.
        start: their first byte in the file.
        line: lines of the file before them.
        raw: their text, in UTF-8.
        stop: the byte after them in the file.
    """

    where: str
    dialect: Dialect
    start: int
    line: int
    raw: bytes
    stop: int

    def rows(self) -> bytes:
        """Their rows alone; see `clean`.

        Raises:
            SourceContentError: they are no text in UTF-8; says in which line.
        """
        if b"\0" in self.raw:
            line = self.line + newlines(self.raw[: self.raw.index(b"\0")]) + 1
            raise SourceContentError(
                f"{self.where}, line {line:,} holds a NUL byte: it is no table of text. Name "
                "another file, or write it again as text in UTF-8."
            )
        if not self.raw.isascii():
            try:
                self.raw.decode()
            except UnicodeDecodeError as error:
                line = self.line + newlines(self.raw[: error.start]) + 1
                raise not_utf8(f"{self.where}, line {line:,}", self.raw, error) from error
        data = self.cleaned()
        return data if self.dialect.numbers is None else undamaged(data, self.dialect)

    def cleaned(self) -> bytes:
        """Their rows, damaged ones among them."""
        end = self.dialect.row_end
        raw = self.raw.replace(end, b"\n") if end else self.raw
        return clean(raw, self.dialect.separator, self.dialect.comments)

    def comments(self) -> list[tuple[int, bytes]]:
        """Where in `raw` lines begin that are comments, and what they hold."""
        if b"#" not in self.raw and b"%" not in self.raw:
            return []
        return [(found.start(1), found[1]) for found in _COMMENT.finditer(self.raw)]

    def where_at(self, place: int) -> str:
        """The file and the line of a place in `raw`."""
        return f"{self.where}, line {self.line + newlines(self.raw[:place]) + 1:,}"

    def first_left_out(self, data: bytes) -> str:
        """The file and the line of the first row that `data`, what `rows` gives, lacks."""
        kept = data.splitlines()
        every = self.cleaned().splitlines()
        row = next((at for at, line in enumerate(kept) if line != every[at]), len(kept))
        whole = self._replace(dialect=replace(self.dialect, numbers=None))
        return whole.line_of(row)

    def line_of(self, row: int) -> str:
        """The file and the line of their row `row`, for an error."""
        if self.dialect.row_end or self.dialect.numbers is not None:
            before = self._lines_before(row)
        else:
            separator, comments = self.dialect.separator, self.dialect.comments
            before = line_of_row(self.raw, separator, row, comments)
        return f"{self.where}, line {self.line + before + 1:,}"

    def _lines_before(self, row: int) -> int:
        """Lines before the one that holds row `row`, where a line may hold several or none."""
        count = 0
        for before, raw in enumerate(self.raw.splitlines()):
            count += rows_in(self._replace(raw=raw).rows())
            if count > row:
                return before
        return newlines(self.raw)


def parsed(lines: Lines, data: bytes, decimal: str, kinds: Sequence[int]) -> Any:
    """The rows `data` of `lines` as a pyarrow table of whole numbers, numbers and texts.

    Args:
        lines: where the rows stand.
        data: what `lines.rows()` gives; at least one row.
        decimal: the decimal mark.
        kinds: of the columns, as far as they are known: a column whose cells do not fit is of its
            own cells' kind; so is one that is EMPTY. Dates, truth values and 0x1F are texts.

    Returns:
        Columns "0", "1", ... of int64, float64, str, or of no type where all cells are empty;
        empty cells of numbers are null.

    Raises:
        SourceContentError: a line has another number of cells; says which.
    """
    import pyarrow as pa

    arrow = [_type(kind) for kind in range(TEXT + 1)]
    types = {str(at): arrow[kind] for at, kind in enumerate(kinds) if kind != EMPTY}
    texts = {str(at): pa.string() for at, kind in enumerate(kinds) if kind == TEXT}
    try:
        table = _read(data, lines.dialect, decimal, types)
    except pa.ArrowInvalid:
        try:
            table = _read(data, lines.dialect, decimal, texts)
        except pa.ArrowInvalid as error:
            raise _wrong_line(lines, data) from error
    rows, open_quote = rows_in(data), b'"' in data and data.count(b'"') % 2 == 1
    if table.num_rows != rows or (open_quote and not _ends(data, lines.dialect, rows)):
        raise _wrong_line(lines, data)
    known = (pa.null(), pa.int64(), pa.float64(), pa.string())
    others = [field.name for field in table.schema if field.type not in known]
    # One byte is found many times as fast as two.
    if (b"x" in data or b"X" in data) and (b"0x" in data or b"0X" in data):
        others += _hexadecimal(lines, data, table)
    if others:
        own = {field.name: field.type for field in table.schema}
        table = _read(data, lines.dialect, decimal, own | dict.fromkeys(others, pa.string()))
    return table


def _hexadecimal(lines: Lines, data: bytes, table: Any) -> list[str]:
    """Columns of whole numbers that pyarrow reads out of 0x1F, but not out of 0x1F beside 0.5."""
    import pyarrow as pa

    whole = {field.name: pa.string() for field in table.schema if field.type == pa.int64()}
    texts = _read(data, lines.dialect, ".", whole)
    return [name for name in whole if any("x" in cell.lower() for cell in texts[name].to_pylist())]


def kinds_of(table: Any) -> list[int]:
    """The kinds of the columns that `parsed` gives."""
    kinds = {_type(kind): kind for kind in (EMPTY, INTEGER, NUMBER, TEXT)}
    return [kinds[each] for each in table.schema.types]


def as_kinds(table: Any, kinds: Sequence[int]) -> Any:
    """`table` with columns of these kinds, which hold all that it holds."""
    for at, (own, kind) in enumerate(zip(kinds_of(table), kinds, strict=True)):
        if own != kind:
            column = table.column(at).cast(_type(kind), safe=False)
            table = table.set_column(at, str(at), column)
    return table


def _type(kind: int) -> Any:
    import pyarrow as pa

    return (pa.null(), pa.int64(), pa.float64(), pa.string())[kind]


def _read(data: bytes, dialect: Dialect, decimal: str, types: Mapping[str, Any]) -> Any:
    """Raises ArrowInvalid: a row has another number of cells, or a cell is not of its type."""
    import pyarrow as pa
    from pyarrow import csv

    return csv.read_csv(
        pa.BufferReader(data),
        csv.ReadOptions(
            use_threads=False,
            block_size=len(data) + 1,
            column_names=[str(at) for at in range(len(dialect.names))],
        ),
        csv.ParseOptions(delimiter=dialect.separator.decode()),
        csv.ConvertOptions(
            check_utf8=False, column_types=types, null_values=EMPTY_CELLS, decimal_point=decimal
        ),
        # Its own pool keeps what it was given.
        pa.system_memory_pool(),
    )


def _ends(data: bytes, dialect: Dialect, rows: int) -> bool:
    """Whether these are so many rows, and the last one ends: a quote may hold what follows it."""
    import pyarrow as pa

    texts = {str(at): pa.string() for at in range(len(dialect.names))}
    another = dialect.separator.join([b"0"] * len(dialect.names)) + b"\n"
    try:
        return bool(_read(data + another, dialect, ".", texts).num_rows == rows + 1)
    except pa.ArrowInvalid:
        return False


def _wrong_line(lines: Lines, data: bytes) -> SourceContentError:
    """Names the first line without which those before it can be read."""
    dialect = lines.dialect
    rows = data.splitlines(keepends=True)

    def fails(count: int) -> bool:
        return not _ends(b"".join(rows[:count]), dialect, count)

    row = bisect_left(range(1, len(rows)), True, key=fails)
    cells = rows[row].count(dialect.separator) + 1
    open_quote = rows[row].count(b'"') % 2 == 1
    has = "a quote that does not close in its line" if open_quote else f"{cells:,} cells"
    return SourceContentError(
        f"{lines.line_of(row)} has {has}, and the table has {len(dialect.names):,} columns. "
        "Correct the file, or set source.skip_lines if lines above the table are no part of it."
    )
