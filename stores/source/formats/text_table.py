"""Tables of text: CSV, and columns that tabs, semicolons or blanks separate."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceContentError
from headrace.stores.io.places import Place
from headrace.stores.source.arrays import shown_arrays
from headrace.stores.source.formats.columns import TABLE, as_numbers, as_texts, channel_names
from headrace.stores.source.formats.left_out import LOOKED_AT, left_out, mostly_numbers
from headrace.stores.source.formats.one_file import OneFile
from headrace.stores.source.formats.text_bytes import TextBytes, changed
from headrace.stores.source.formats.text_dialect import is_empty, is_number
from headrace.stores.source.formats.text_parse import INTEGER, NUMBER, TEXT, Lines, as_kinds, parsed
from headrace.stores.source.formats.text_plan import TextPlan, plan_table, table_lines

KEPT_PIECES = 2
COLUMN_BYTES = 12 << 10
"""What pyarrow holds of each column while it reads, however few its rows."""
_DTYPES = {kind: np.dtype(dtype) for kind, dtype in ((INTEGER, "i8"), (NUMBER, "f8"), (TEXT, "O"))}


class TextTable(OneFile):
    """An open table: its columns, and all columns of numbers side by side; see `SourceFile`."""

    def __init__(self, source: TextBytes, drop: bool = False) -> None:
        """Take over an open file; `drop`: leave damaged lines out."""
        OneFile.__init__(self, source.path)
        self._source, self._drop = source, drop
        self._plan: TextPlan | None = None
        self._kept: OrderedDict[int, Any] = OrderedDict()
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
        with self._lock:
            if self._plan is None:
                self._plan, table = plan_table(self._source, self._drop)
                if table is not None:
                    self._kept[0] = table
            return self._plan

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
        plan = self.plan
        for column, name in enumerate(plan.names):
            if plan.kinds[column] == TEXT and name not in used:
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
        self._source.close()

    def slices(self, start: int, stop: int) -> Iterator[Any]:
        """The rows `start` to `stop` as pyarrow tables, one after another."""
        plan = self.plan
        for piece in plan.pieces_of(start, stop):
            first = plan.rows[piece]
            low = max(start - first, 0)
            yield self._decoded(piece).slice(low, min(stop, plan.rows[piece + 1]) - first - low)

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
        cells = self._decoded(piece).column(column).to_pylist()
        row = next((at for at, cell in enumerate(cells) if not self._may_be_number(cell)), 0)
        with self._lock:
            line = self._lines(plan, piece).line_of(row)
        return f"{line} (row {plan.rows[piece] + row:,})", str(cells[row])

    def _check_left_out(self, column: int) -> None:
        """Raises SourceContentError: a column of texts looks like one of numbers."""
        plan = self.plan
        if column not in self._looked_at:
            cells = self._decoded(plan.text_from[column]).column(column)
            different = cells.unique()[:LOOKED_AT].to_pylist()
            self._looked_at[column] = column in plan.spoiled or mostly_numbers(different)
        if self._looked_at[column]:
            line, cell = self._first_text(column)
            raise left_out(line, plan.names[column], cell)

    def _may_be_number(self, cell: str) -> bool:
        text = cell.encode()
        return is_empty(text) or is_number(text, self.plan.dialect.separator)

    def _decoded(self, piece: int) -> Any:
        """Raises SourceError: the file is not what it was."""
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
            if data.count(b"\n") != plan.rows_in(piece):
                raise changed(self.where)
            try:
                table = parsed(lines, data, plan.decimal or ".", plan.kinds)
                self._kept[piece] = as_kinds(table, plan.kinds)
            except pa.ArrowInvalid as error:
                raise changed(self.where) from error
            return self._kept[piece]

    def _lines(self, plan: TextPlan, piece: int) -> Lines:
        start, stop = plan.starts[piece], plan.stops[piece]
        raw = self._source.part(start, stop)
        return Lines(self.where, plan.dialect, start, plan.lines[piece], raw)


class TextArray:
    """One column, or all of numbers; see `SourceArray`. What is kept is kept for the table."""

    def __init__(
        self, table: TextTable, name: str, column: int | None = None, of: Sequence[int] = ()
    ) -> None:
        """The column of that number; None: all columns of numbers, or those `of` them."""
        plan = table.plan
        self._table = table
        self._columns = tuple(of) or plan.number_columns if column is None else (column,)
        kinds = {plan.kinds[each] for each in self._columns}
        self.name = name
        self.where = f"{table.where}:{name}"
        self.files: tuple[Path, ...] = ()
        across = (len(self._columns),) if column is None else ()
        self.shape: tuple[int, ...] | None = (plan.row_count, *across)
        self.dtype: np.dtype[Any] = _DTYPES[max(kinds)]
        self.piece_rows: int | None = plan.piece_rows
        decoded = plan.decoded_bytes
        self.row_bytes = -(-decoded // plan.piece_rows)
        self.cache_bytes = KEPT_PIECES * decoded + table.unpacked_bytes
        # The bytes, trimmed, in parts, and as cells; and what is decoded until it is kept.
        self.decode_bytes = 8 * plan.piece_bytes + 2 * decoded + COLUMN_BYTES * len(plan.kinds)

    def chosen(self, channels: Sequence[int]) -> TextArray:
        """Some columns of several."""
        return TextArray(self._table, self.name, of=[self._columns[each] for each in channels])

    def ready(self) -> TextArray:
        """The same."""
        return self

    def attribute(self, name: str) -> NDArray[Any] | float | None:
        """Names of several columns, and a rate that stands above the rows."""
        if name == "sampling_rate_hz":
            return self._table.plan.dialect.rate_hz
        names = [self._table.plan.names[each] for each in self._columns]
        is_named = names != [str(each) for each in self._columns]
        several = self.shape is not None and len(self.shape) == 2
        return channel_names(names) if name == "channels" and several and is_named else None

    def attributes(self) -> list[Mapping[str, Any]]:
        """None."""
        return []

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`, of numbers."""
        assert self.shape is not None
        start, stop, _ = slice(start, stop).indices(self.shape[0])
        out = np.empty((max(0, stop - start), *self.shape[1:]), dtype=self.dtype)
        self.read_into(out, start)
        return out

    def whole(self) -> NDArray[Any]:
        """All of it."""
        assert self.shape is not None
        whole = self.texts if self.dtype.hasobject else self.read
        return whole(0, self.shape[0])

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` with the rows from `start` on.

        Raises:
            SourceContentError: there is a cell that is no number; names the line and the cell.
        """
        if self.dtype.hasobject:
            raise self._table.no_number(self._columns[0])
        cells = out if out.ndim == 2 else out[:, None]
        row = 0
        for table in self._table.slices(start, start + len(out)):
            for place, column in enumerate(self._columns):
                kind = self._table.plan.kinds[column]
                values = as_numbers(table.column(column), _DTYPES[kind])
                cells[row : row + table.num_rows, place] = values
            row += table.num_rows

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Rows `start` to `stop`, of texts."""
        if not self.dtype.hasobject:
            raise TypeError(f"{self.where} holds {self.dtype}")
        (column,) = self._columns
        texts: list[str] = []
        for table in self._table.slices(start, stop):
            texts += table.column(column).to_pylist()
        return as_texts(texts, self.where)

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Bytes of the file that hold the rows; none of a packed table."""
        return self._table.byte_spans(low, high)


def open_text_table(path: Place, drop_damaged: bool = False) -> TextTable:
    """Open `path` for reading. It is not read until an array of it is asked for.

    Args:
        path: the table.
        drop_damaged: leave out lines with another number of cells than columns, or with texts
            where nearly all have numbers, in place of an error.

    Raises:
        UserError: there is no such file.
    """
    return TextTable(TextBytes(path), drop_damaged)


def count_rows(path: Place) -> int:
    """Rows of a table, without its header, by its lines: no cell is read. 0 of an empty file.

    Raises:
        UserError: it cannot be read, or its header cannot be used.
    """
    with closing(TextBytes(path)) as source:
        return sum(lines.cleaned().count(b"\n") for lines in table_lines(source, keep=False))
