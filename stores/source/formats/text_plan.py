"""Where the rows of a table of text stand and what its columns hold: found in one pass."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceContentError
from headrace.stores.io.places import Place
from headrace.stores.source.formats.text_bytes import TextBytes
from headrace.stores.source.formats.text_dialect import (
    Dialect,
    clean,
    decimal_mark,
    find_dialect,
    newlines,
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

MOST_HEAD = 64 << 10
SHOWN_NAMES = 8


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
        order: names of the columns of numbers in another file's order; empty: in its own.
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
    order: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of its columns. What stands between the last separator and the line's end is none."""
        names = self.dialect.names
        loose = self.dialect.loose_end and not self.has_value[-1] and len(names) > 1
        return names[:-1] if loose else names

    @property
    def number_columns(self) -> tuple[int, ...]:
        """Columns that hold numbers."""
        if self.order:
            return tuple(self.names.index(name) for name in self.order)
        return tuple(at for at in range(len(self.names)) if self.kinds[at] != TEXT)

    @property
    def row_count(self) -> int:
        """Rows of the table."""
        return self.rows[-1]

    @cached_property
    def piece_rows(self) -> int:
        """Rows of the piece that has most."""
        return max((self.rows_in(piece) for piece in range(len(self.starts))), default=1)

    @cached_property
    def decoded_bytes(self) -> int:
        """Of the piece that takes most: 8 bytes a cell and a bit whether it is empty, and texts."""
        texts = TEXT in self.kinds
        row = len(self.kinds) * 9
        return max(
            (
                self.rows_in(piece) * row + texts * (self.stops[piece] - self.starts[piece])
                for piece in range(len(self.starts))
            ),
            default=0,
        )

    def rows_in(self, piece: int) -> int:
        """Rows of a piece."""
        return self.rows[piece + 1] - self.rows[piece]

    def pieces_of(self, start: int, stop: int) -> range:
        """The pieces that hold these rows, as far as there are such rows."""
        stop = min(stop, self.row_count)
        if stop <= start:
            return range(0)
        return range(bisect_right(self.rows, start) - 1, bisect_right(self.rows, stop - 1))


def table_lines(source: TextBytes, keep: bool, like: TextModel | None = None) -> Iterator[Lines]:
    """What stands below the header, piece by piece; a piece may hold no row.

    Args:
        source: the bytes.
        keep: whether they will be read again.
        like: a table that may begin with the same header.

    Raises:
        UserError: it cannot be read, or its header cannot be used.
    """
    dialect: Dialect | None = None
    line = 0
    for start, raw in source.pieces(keep):
        head = 0
        if like is not None and start == 0 and like.begins(raw):
            dialect, head = like.dialect, len(like.head)
        if dialect is None:
            head = table_begin(raw, source.where) if start == 0 else 0
            found = find_dialect(raw[head:], source.where)
            if found is not None:
                dialect, head = found[0], head + found[1]
        if dialect is not None:
            yield Lines(
                source.where, dialect, start + head, line + newlines(raw[:head]), raw[head:]
            )
        line += newlines(raw)


@dataclass(frozen=True)
class TextModel:
    """What a table shares with others that are written alike, one file a recording.

    Attributes:
        head: what stands above its rows, header included; empty where that may differ.
        dialect: how it is written.
        kinds: NUMBER or TEXT of the columns by their names: whole numbers may be others elsewhere.
        decimal: the decimal mark; None: no cell shows it.
        doubtful: why columns of texts are no channels, that look like numbers.
    """

    head: bytes
    dialect: Dialect
    kinds: Mapping[str, int]
    decimal: str | None
    doubtful: tuple[SourceContentError, ...] = ()

    def begins(self, raw: bytes) -> bool:
        """Whether a file begins with the same header."""
        end = len(self.head)
        return end > 0 and raw.startswith(self.head) and raw[end : end + 1] in (b"\n", b"\r")

    def plan(self, dialect: Dialect) -> TextPlan:
        """The plan of a table like this one, without its pieces: other columns are texts."""
        kinds = [self.kinds.get(name, TEXT) for name in dialect.names]
        known = [name in self.kinds for name in dialect.names]
        order = tuple(name for name, kind in self.kinds.items() if kind == NUMBER)
        return TextPlan(dialect, kinds, known, known, self.decimal, order=order)


def model_of(
    source: TextBytes, plan: TextPlan, doubtful: Sequence[SourceContentError]
) -> TextModel:
    """What other tables may share with one that was planned."""
    has_header = plan.dialect.names != tuple(map(str, range(len(plan.dialect.names))))
    head = source.part(0, plan.starts[0]) if has_header and len(plan.starts) else b""
    kinds = {name: TEXT if plan.kinds[at] == TEXT else NUMBER for at, name in enumerate(plan.names)}
    head = head if len(head) <= MOST_HEAD else b""
    return TextModel(head, plan.dialect, kinds, plan.decimal, tuple(doubtful))


def count_table(source: TextBytes, like: TextModel) -> TextPlan:
    """Where the rows of a table stand that is written like another; no cell is read.

    Raises:
        UserError: it cannot be read, its header cannot be used, or a column is not there.
    """
    plan: TextPlan | None = None
    for lines in table_lines(source, keep=True, like=like):
        if plan is None:
            plan = like.plan(lines.dialect)
            lacking = [name for name in plan.order if name not in plan.names]
            if lacking:
                raise SourceContentError(
                    f"{source.where} has no column {lacking[0]!r}, which the first file has. "
                    f"It has {', '.join(plan.names[:SHOWN_NAMES])}. Leave it out, or correct it."
                )
        data = lines.rows()
        if data:
            plan.decimal = plan.decimal or decimal_mark(data, lines.dialect.separator)
            _add_piece(plan, lines, data.count(b"\n"))
    if plan is None:
        raise SourceContentError(f"{source.where} has no row and no header. Name another file.")
    return plan


def known_pieces(plan: TextPlan) -> NDArray[np.int64]:
    """(pieces, 4): first byte, the byte after the last, lines before, and rows up to its end."""
    return np.array([plan.starts, plan.stops, plan.lines, plan.rows[1:]], np.int64).T


def plan_of_known(like: TextModel, pieces: NDArray[np.int64]) -> TextPlan:
    """The plan that `count_table` found of a table with the model's header."""
    plan = like.plan(like.dialect)
    for name, column in zip(("starts", "stops", "lines"), pieces.T.tolist(), strict=False):
        setattr(plan, name, array("q", column))
    plan.rows = array("q", [0, *pieces[:, 3].tolist()])
    plan.piece_bytes = int((pieces[:, 1] - pieces[:, 0]).max(initial=0))
    return plan


def plan_table(source: TextBytes) -> tuple[TextPlan, Any | None]:
    """Where rows stand, and of what type columns are, by all of their cells.

    Returns:
        The plan, and the decoded table where it is of one piece.

    Raises:
        UserError: it is no table, or cannot be read; says in which line.
    """
    plan: TextPlan | None = None
    table: Any | None = None
    for lines in table_lines(source, keep=True):
        if plan is None:
            columns = len(lines.dialect.names)
            plan = TextPlan(lines.dialect, [EMPTY] * columns, [False] * columns, [False] * columns)
        data = lines.rows()
        if data:
            table = _planned(plan, lines, data)
    if plan is None:
        raise SourceContentError(f"{source.where} has no row and no header. Name another file.")
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
    _add_piece(plan, lines, table.num_rows)
    return table


def _add_piece(plan: TextPlan, lines: Lines, rows: int) -> None:
    plan.starts.append(lines.start)
    plan.stops.append(lines.start + len(lines.raw))
    plan.lines.append(lines.line)
    plan.rows.append(plan.row_count + rows)
    plan.piece_bytes = max(plan.piece_bytes, len(lines.raw))


def count_rows(path: Place) -> int:
    """Rows of a table, without its header, by its lines: no cell is read. 0 of an empty file.

    Raises:
        UserError: it cannot be read, or its header cannot be used.
    """
    with closing(TextBytes(path)) as source:
        return sum(
            clean(lines.raw, lines.dialect.separator).count(b"\n")
            for lines in table_lines(source, keep=False)
        )
