"""Tables of text: CSV, and columns that tabs, semicolons or blanks separate."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceContentError
from headrace.stores.io.places import Place
from headrace.stores.source.arrays import shown_arrays
from headrace.stores.source.file_patterns import LEAVE_OUT
from headrace.stores.source.formats.columns import TABLE
from headrace.stores.source.formats.left_out import LOOKED_AT, left_out, mostly_numbers
from headrace.stores.source.formats.one_file import OneFile
from headrace.stores.source.formats.text_array import KEPT_PIECES, TextArray
from headrace.stores.source.formats.text_bytes import TextBytes, changed
from headrace.stores.source.formats.text_clean import rows_in
from headrace.stores.source.formats.text_dialect import is_empty, is_number
from headrace.stores.source.formats.text_model import (
    TextModel,
    count_table,
    known_pieces,
    model_of,
    plan_of_known,
)
from headrace.stores.source.formats.text_parse import (
    TEXT,
    Lines,
    as_kinds,
    kinds_of,
    parsed,
)
from headrace.stores.source.formats.text_plain import PlainPiece, may_be_plain
from headrace.stores.source.formats.text_plan import TextPlan, plan_table
from headrace.stores.source.formats.text_rules import USUAL, TextRules
from headrace.stores.source.remarks import COMMENTS, DAMAGED, SKIPPED, UNITS, Remark
from headrace.stores.text import listed

SHOWN_NAMES = 8
SMALL_PIECE = 128 << 10
"""Read at a time where a few windows are wanted of each of many files."""


class TextTable(OneFile):
    """An open table: its columns, and all columns of numbers side by side; see `SourceFile`."""

    def __init__(
        self,
        source: TextBytes,
        rules: TextRules = USUAL,
        like: TextModel | None = None,
        pieces: NDArray[np.int64] | None = None,
    ) -> None:
        """Take over an open file.

        Args:
            source: the file.
            rules: which lines are left out.
            like: a table that it is written like: then its cells are not read to plan it, and all
                numbers are float64.
            pieces: what is known of its pieces; see `known_pieces`.
        """
        OneFile.__init__(self, source.path)
        self._source, self._rules = source, rules
        self._like, self._pieces = like, pieces
        self._plan: TextPlan | None = None
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self._plain: PlainPiece | None = None
        self._is_plain = True
        self._looked_at: dict[int, bool] = {}
        self._lock = Lock()
        self.name = "/"
        self.where = source.where
        self.fetched_bytes = source.fetched_bytes

    @property
    def plan(self) -> TextPlan:
        """Where rows stand and what columns hold; found when it is first asked for.

        Raises:
            UserError: it is no table; says in which line.
        """
        if self._plan is not None:
            return self._plan
        with self._lock:
            if self._plan is None and self._like is not None:
                known = None if self._source.packed else self._pieces
                self._plan = (
                    count_table(self._source, self._like, self._rules)
                    if known is None
                    else plan_of_known(self._like, known)
                )
            if self._plan is None:
                self._plan, table = plan_table(self._source, self._rules)
                if table is not None:
                    self._kept[0] = table
            return self._plan

    def model(self) -> TextModel:
        """What other tables may share with this one."""
        doubtful: dict[str, SourceContentError] = {}
        for column in self._text_columns():
            try:
                self._check_left_out(column)
            except SourceContentError as error:
                doubtful[self.plan.names[column]] = error
        return model_of(self._source, self.plan, doubtful)

    def known_pieces(self) -> NDArray[np.int64] | None:
        """What opening the table again may begin with; None: its header is one of its own."""
        plan = self._plan
        alike = self._like is not None and plan is not None and plan.dialect == self._like.dialect
        return known_pieces(plan) if alike and plan is not None else None

    def remarks(self) -> list[Remark]:
        """What is to be said of how it was read, as far as it was."""
        plan = self._plan
        if plan is None:
            return []
        dialect = plan.dialect
        found = [Remark(DAMAGED, plan.first_damaged, plan.damaged)] if plan.damaged else []
        if plan.comments:
            found.append(Remark(COMMENTS, plan.first_comment, plan.comments))
        if dialect.skipped:
            found.append(Remark(SKIPPED, self.where, dialect.skipped))
        if dialect.units:
            found.append(Remark(UNITS, f"{self.where} ({listed(dialect.units, 6)})"))
        return found

    @property
    def unpacked_bytes(self) -> int:
        """Kept of a packed table."""
        return self._source.kept_bytes

    def array(self, name: str) -> TextArray | None:
        """The column of that name; "table": all columns of numbers side by side."""
        plan = self.plan
        if name in plan.names:
            return TextArray(self, name, plan.names.index(name))
        return TextArray(self, TABLE) if name == TABLE and plan.number_columns else None

    def check_left_out(self, used: Collection[str]) -> None:
        """See `MixedTable`."""
        lacking = [name for name in self.plan.lacking if name not in used]
        if lacking:
            raise SourceContentError(
                f"{self.where} has no column {lacking[0]!r}, which the first file has. It has "
                f"{', '.join(self.plan.names[:SHOWN_NAMES])}. Name the columns that all files have "
                f"with source.signals; or leave the file out: in source.files {LEAVE_OUT}."
            )
        if self._like is not None:
            for name, error in self._like.doubtful.items():
                if name not in used:
                    raise error
            return
        for column in self._text_columns():
            if self.plan.names[column] not in used:
                self._check_left_out(column)

    def group(self, name: str) -> None:
        """None: a table has no groups."""

    def children(self) -> Sequence[str]:
        """Those of the columns."""
        return self.plan.names

    def contents(self) -> str:
        """The columns with shape and type."""
        names = [TABLE, *(name for name in self.plan.names[:20] if name != TABLE)]
        arrays = [found for name in names if (found := self.array(name)) is not None]
        return shown_arrays((each.name, each.shape, each.dtype) for each in arrays)

    def names(self) -> Iterator[str]:
        """Names of the columns, and "table"."""
        plan = self.plan
        yield from dict.fromkeys([TABLE, *plan.names] if plan.number_columns else plan.names)

    def fetch(self, spans: set[tuple[int, int]]) -> bool:
        """Fetch bytes of an object side by side."""
        return self._source.fetch(spans)

    def close(self) -> None:
        """Close the file, and let go of what was kept."""
        self._kept.clear()
        self._plain = None
        self._source.close()

    def parts(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """The pieces that hold rows `start` to `stop`, and which rows of each."""
        plan = self.plan
        for piece in plan.pieces_of(start, stop):
            first = plan.rows[piece]
            yield piece, max(start - first, 0), min(stop, plan.rows[piece + 1]) - first

    def read_plain(self, out: NDArray[Any], piece: int, low: int, columns: Sequence[int]) -> bool:
        """Fill `out` with columns of a piece from row `low` on, if they hold plain numbers."""
        with self._lock:
            if not self._is_plain or out.dtype != np.float64 or not may_be_plain(self.plan):
                return False
            if self._plain is None or self._plain.piece != piece:
                self._plain = PlainPiece(self._lines(self.plan, piece), self.plan, piece)
            self._is_plain = self._plain.read_into(out, low, columns)
            if not self._is_plain:
                self._plain = None
            return self._is_plain

    def byte_spans(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Bytes of the pieces that hold these rows; none of a packed table."""
        if not self._source.packed:
            for piece in self.plan.pieces_of(start, stop):
                yield self.plan.starts[piece], self.plan.stops[piece]

    def no_number(self, column: int) -> SourceContentError:
        """Names the first cell of a column of texts that holds no number."""
        line, cell = self._first_text(column)
        return SourceContentError(
            f"{line} holds {cell[:40]!r} in column {self.plan.names[column]}, and numbers are "
            "needed. Correct the file, or name another column."
        )

    def _first_text(self, column: int) -> tuple[str, str]:
        """Where the first cell stands that is no number, and what it holds."""
        plan = self.plan
        piece = plan.text_from[column]
        cells = self.decoded(piece).column(column).to_pylist()
        row = next((at for at, cell in enumerate(cells) if not self._may_be_number(cell)), 0)
        with self._lock:
            line = self._lines(plan, piece).line_of(row)
        return f"{line} (row {plan.rows[piece] + row:,})", str(cells[row])

    def _text_columns(self) -> list[int]:
        plan = self.plan
        return [at for at in range(len(plan.names)) if plan.kinds[at] == TEXT]

    def _check_left_out(self, column: int) -> None:
        """Raises SourceContentError: a column of texts looks like one of numbers."""
        plan = self.plan
        if column not in self._looked_at:
            cells = self.decoded(plan.text_from[column]).column(column)
            different = cells.unique()[:LOOKED_AT].to_pylist()
            self._looked_at[column] = column in plan.spoiled or mostly_numbers(different)
        if self._looked_at[column]:
            line, cell = self._first_text(column)
            raise left_out(line, plan.names[column], cell)

    def _may_be_number(self, cell: str) -> bool:
        text = cell.encode()
        return is_empty(text) or is_number(text, self.plan.dialect.separator)

    def decoded(self, piece: int) -> Any:
        """A piece as a pyarrow table.

        Raises:
            SourceError: the file is not what it was.
        """
        import pyarrow as pa

        plan = self.plan
        with self._lock:
            if piece in self._kept:
                self._kept.move_to_end(piece)
                return self._kept[piece]
            while len(self._kept) >= KEPT_PIECES:
                self._kept.popitem(last=False)
            lines = self._lines(plan, piece)
            data = lines.rows()
            if rows_in(data) != plan.rows_in(piece):
                raise changed(self.where)
            try:
                table = parsed(lines, data, plan.decimal or ".", plan.kinds)
                if self._like is not None:
                    self._require_numbers(lines, table)
                self._kept[piece] = as_kinds(table, plan.kinds)
            except pa.ArrowInvalid as error:
                raise changed(self.where) from error
            return self._kept[piece]

    def _require_numbers(self, lines: Lines, table: Any) -> None:
        """Raises SourceContentError: a column of numbers holds a text; says where."""
        for column, kind in enumerate(kinds_of(table)):
            if kind == TEXT and self._plan is not None and self._plan.kinds[column] != TEXT:
                cells = table.column(column).to_pylist()
                separator = lines.dialect.separator
                row = next(
                    at
                    for at, cell in enumerate(cells)
                    if not (is_empty(cell.encode()) or is_number(cell.encode(), separator))
                )
                raise SourceContentError(
                    f"{lines.line_of(row)} holds {cells[row][:40]!r} in column "
                    f"{lines.dialect.names[column]}, and numbers are needed. Correct the file, or "
                    "name another column."
                )

    def _lines(self, plan: TextPlan, piece: int) -> Lines:
        start, stop = plan.starts[piece], plan.stops[piece]
        raw = self._source.part(start, stop)
        return Lines(self.where, plan.dialect, start, plan.lines[piece], raw, stop)


def open_text_table(
    path: Place,
    rules: TextRules = USUAL,
    like: TextModel | None = None,
    pieces: NDArray[np.int64] | None = None,
) -> TextTable:
    """Open `path` for reading. It is not read until an array of it is asked for.

    Args:
        path: the table.
        rules: which lines are left out; damaged are those with another number of cells than
            columns, or with texts where nearly all have numbers.
        like, pieces: what is known of it; see `TextTable`. Of many files small pieces are read.

    Raises:
        UserError: there is no such file.
    """
    source = TextBytes(path, None if like is None else SMALL_PIECE, rules.encoding)
    return TextTable(source, rules, like, pieces)
