"""Where the rows of a table of text stand and what its columns hold: found in one pass."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from headrace.stores.errors import SourceContentError
from headrace.stores.source.formats.text_above import find_above, lines_in, lvm_lines, stated_rate
from headrace.stores.source.formats.text_bytes import TextBytes
from headrace.stores.source.formats.text_clean import newlines, rows_in
from headrace.stores.source.formats.text_dialect import (
    Dialect,
    cells_of,
    decimal_mark,
    find_dialect,
    is_number,
)
from headrace.stores.source.formats.text_encoding import table_begin
from headrace.stores.source.formats.text_parse import (
    EMPTY,
    INTEGER,
    NUMBER,
    TEXT,
    Lines,
    as_kinds,
    kinds_of,
    parsed,
)
from headrace.stores.source.formats.text_rules import USUAL, TextRules


@dataclass
class TextPlan:
    """What one pass over a table finds. Pieces without a row are left out.

    Attributes:
        dialect: how it is written.
        kinds: of its columns; in the end INTEGER, NUMBER or TEXT.
        has_empty: columns with an empty cell.
        has_value: columns with another.
        decimal: the decimal mark; None: no cell shows it yet.
        text_from: of a column of texts, the piece that has the first.
        spoiled: columns of texts that hold nothing but numbers before it.
        starts: first byte of each piece.
        stops: the byte after each.
        lines: lines of the file before each.
        rows: first row of each, and the number of all.
        piece_bytes: of the largest piece.
        piece_rows: of the piece that has most.
        damaged: lines that are left out.
        first_damaged: where the first of them stands.
        comments: lines that are left out as such.
        first_comment: where the first of them stands.
        comments_dropped: whether they are to be left out even if they look like rows.
        order: names of the columns of numbers in another file's order; empty: in its own.
        lacking: columns of numbers that the other file has, and this one has not.
    """

    dialect: Dialect
    kinds: list[int]
    has_empty: list[bool]
    has_value: list[bool]
    decimal: str | None = None
    text_from: dict[int, int] = field(default_factory=dict)
    spoiled: set[int] = field(default_factory=set)
    starts: array[int] = field(default_factory=lambda: array("q"))
    stops: array[int] = field(default_factory=lambda: array("q"))
    lines: array[int] = field(default_factory=lambda: array("q"))
    rows: array[int] = field(default_factory=lambda: array("q", [0]))
    piece_bytes: int = 0
    piece_rows: int = 1
    damaged: int = 0
    first_damaged: str = ""
    order: tuple[str, ...] = ()
    comments: int = 0
    first_comment: str = ""
    comments_dropped: bool = False
    lacking: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of its columns. What stands between the last separator and the line's end is none."""
        names = self.dialect.names
        loose = self.dialect.loose_end and not self.has_value[-1] and len(names) > 1
        return names[:-1] if loose else names

    @property
    def number_columns(self) -> tuple[int, ...]:
        """Columns that hold numbers."""
        if self.order or self.lacking:
            return tuple(self.names.index(name) for name in self.order)
        return tuple(at for at in range(len(self.names)) if self.kinds[at] != TEXT)

    @property
    def row_count(self) -> int:
        """Rows of the table."""
        return self.rows[-1]

    @property
    def decoded_bytes(self) -> int:
        """Most of a piece: 8 bytes a cell and a bit whether it is empty, and texts."""
        texts = self.piece_bytes if TEXT in self.kinds else 0
        return self.piece_rows * len(self.kinds) * 9 + texts

    def add_piece(self, lines: Lines, rows: int) -> None:
        """Some more lines, that hold so many rows."""
        self.starts.append(lines.start)
        self.stops.append(lines.stop)
        self.lines.append(lines.line)
        self.rows.append(self.row_count + rows)
        self.piece_bytes = max(self.piece_bytes, len(lines.raw))
        self.piece_rows = max(self.piece_rows, rows)

    def rows_in(self, piece: int) -> int:
        """Rows of a piece."""
        return self.rows[piece + 1] - self.rows[piece]

    def pieces_of(self, start: int, stop: int) -> range:
        """The pieces that hold these rows, as far as there are such rows."""
        stop = min(stop, self.row_count)
        if stop <= start:
            return range(0)
        return range(bisect_right(self.rows, start) - 1, bisect_right(self.rows, stop - 1))


def table_lines(
    source: TextBytes,
    rules: TextRules = USUAL,
    begun: Callable[[bytes], tuple[Dialect, int] | None] = lambda _: None,
) -> Iterator[Lines]:
    """What stands below the header, piece by piece; a piece may hold no row.

    Args:
        source: the bytes.
        rules: which lines are left out.
        begun: the dialect that a file's first bytes are known to have, and where rows begin.

    Raises:
        UserError: it cannot be read, or its header cannot be used.
    """
    dialect: Dialect | None = None
    line = 0
    for start, stop, raw in source.pieces():
        head = 0
        if dialect is None and start == 0 and (known := begun(raw)) is not None:
            dialect, head = known
        if dialect is None:
            head = table_begin(raw) if start == 0 else 0
            found = _begin(raw[head:], source.where, rules)
            if found is not None:
                dialect, head = found[0], head + found[1]
        if dialect is not None:
            if head:
                head += len(raw[head : head + 2]) - len(raw[head : head + 2].lstrip(b"\r\n"))
            above, rest = raw[:head], raw[head:]
            begin, before = start + source.size(above), line + newlines(above)
            yield Lines(source.where, dialect, begin, before, rest, stop)
        line += newlines(raw)


def _begin(raw: bytes, where: str, rules: TextRules) -> tuple[Dialect, int] | None:
    """The dialect, and where rows begin, below what stands above the header.

    Raises:
        UserError: as `find_dialect`.
    """
    given = lvm_lines(raw, where) if rules.skip_lines is None else rules.skip_lines
    skipped = lines_in(raw, given or 0)
    comments = rules.comments != "rows"
    above = find_above(raw[skipped:], rules.drop, comments)
    if above is None or (given is not None and above.skipped):
        found = find_dialect(raw[skipped:], where, rules.drop, comments)
        rows = skipped + (found[1] if found else 0)
        dialect = found[0] if found else None
    else:
        rows = skipped + above.rows
        header = raw[skipped + above.header : skipped + above.stop]
        found = find_dialect(header + raw[rows:], where, rules.drop, comments)
        dialect = replace(found[0], skipped=above.skipped, units=above.units) if found else None
    if dialect is None:
        return None
    return replace(dialect, said_hz=stated_rate(raw[:rows]), comments=comments), rows


def plan_table(source: TextBytes, rules: TextRules = USUAL) -> tuple[TextPlan, Any | None]:
    """Where rows stand, and of what type columns are, by all of their cells.

    Args:
        source: the table.
        rules: which lines are left out.

    Returns:
        The plan, and the decoded table where it is of one piece.

    Raises:
        UserError: it is no table, or cannot be read; says in which line; most of its lines are
            damaged.
    """
    plan: TextPlan | None = None
    table: Any | None = None
    for lines in table_lines(source, rules):
        if plan is None:
            columns = len(lines.dialect.names)
            plan = TextPlan(lines.dialect, [EMPTY] * columns, [False] * columns, [False] * columns)
            plan.comments_dropped = rules.comments == "drop"
        data = lines.rows()
        if rules.drop and (damaged := rows_in(lines.cleaned()) - rows_in(data)):
            plan.damaged += damaged
            plan.first_damaged = plan.first_damaged or lines.first_left_out(data)
        if data:
            table = _planned(plan, lines, data)
    if plan is None:
        raise SourceContentError(
            f"{source.where} has no row and no header. Name another file, or "
            'set source.comments = "rows" if its rows begin with # or %.'
        )
    if plan.damaged > plan.row_count:
        raise SourceContentError(
            f"{source.where} has {plan.damaged:,} damaged lines, more than its {plan.row_count:,} "
            'rows. Set source.damaged_lines = "error" to be told what is wrong with the first.'
        )
    for place, kind in enumerate(plan.kinds):
        if kind == EMPTY or (kind == INTEGER and plan.has_empty[place]):
            plan.kinds[place] = NUMBER
    return plan, as_kinds(table, plan.kinds) if len(plan.starts) == 1 else None


def _planned(plan: TextPlan, lines: Lines, data: bytes) -> Any:
    """Adds a piece; returns it decoded."""
    plan.decimal = plan.decimal or decimal_mark(data, lines.dialect.separator)
    table = parsed(lines, data, plan.decimal or ".", plan.kinds)
    for place, (kind, column) in enumerate(zip(kinds_of(table), table.columns, strict=True)):
        if kind == TEXT and plan.kinds[place] != TEXT:
            plan.text_from[place] = len(plan.starts)
            if plan.has_value[place]:
                plan.spoiled.add(place)
        plan.kinds[place] = max(kind, plan.kinds[place])
        plan.has_empty[place] |= column.null_count > 0
        plan.has_value[place] |= column.null_count < table.num_rows
    count_comments(plan, lines)
    plan.add_piece(lines, table.num_rows)
    return table


def count_comments(plan: TextPlan, lines: Lines) -> None:
    """Add the comments of some lines to a plan.

    Raises:
        SourceContentError: one looks like a row, and nobody said that it is none.
    """
    found = lines.comments() if plan.dialect.comments else []
    plan.comments += len(found)
    plan.first_comment = plan.first_comment or (lines.where_at(found[0][0]) if found else "")
    if plan.comments_dropped or len(plan.kinds) < 2:
        return
    separator = plan.dialect.separator
    for at, text in found:
        cells = cells_of(text, separator)
        numbers = [
            cell for cell, kind in zip(cells, plan.kinds, strict=False) if kind in (INTEGER, NUMBER)
        ]
        if len(cells) == len(plan.kinds) and any(is_number(each, separator) for each in numbers):
            raise SourceContentError(
                f"{lines.where_at(at)} begins with {text[:1].decode()}, as comments do, and has as "
                'many cells as the table has columns. Set source.comments = "rows" if it is a '
                'row, or "drop" to leave out what begins so.'
            )
