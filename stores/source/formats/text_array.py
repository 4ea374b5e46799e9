"""Columns of a table of text as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.formats.columns import ColumnArray, as_numbers, as_texts, channel_names
from headrace.stores.source.formats.text_above import ABOVE
from headrace.stores.source.formats.text_parse import INTEGER, NUMBER, TEXT

if TYPE_CHECKING:
    from headrace.stores.source.formats.text_table import TextTable

KEPT_PIECES = 2
"""Of a table, decoded."""
COLUMN_BYTES = 12 << 10
"""What pyarrow holds of each column while it reads, however few its rows."""
_DTYPES = {kind: np.dtype(dtype) for kind, dtype in ((INTEGER, "i8"), (NUMBER, "f8"), (TEXT, "O"))}


class TextArray(ColumnArray):
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
        self.shape = (plan.row_count, *across)
        self.dtype = _DTYPES[max(kinds)]
        self.piece_rows: int | None = plan.piece_rows
        decoded = plan.decoded_bytes
        self.row_bytes = -(-decoded // plan.piece_rows)
        # Of plain numbers a piece as it is written, and where its rows begin.
        plain = plan.piece_bytes + 8 * plan.piece_rows
        self.cache_bytes = max(KEPT_PIECES * decoded, plain) + table.unpacked_bytes
        # The bytes, trimmed, in parts, and as cells; and what is decoded until it is kept.
        self.decode_bytes = 8 * plan.piece_bytes + 2 * decoded + COLUMN_BYTES * len(plan.kinds)

    def chosen(self, channels: Sequence[int]) -> TextArray:
        """Some columns of several."""
        return TextArray(self._table, self.name, of=[self._columns[each] for each in channels])

    def ready(self) -> TextArray:
        """The same."""
        return self

    def attribute(self, name: str) -> NDArray[Any] | float | None:
        """Names of the columns, and a rate that stands above the rows."""
        if name == "sampling_rate_hz":
            return self._table.plan.dialect.rate_hz
        if name == "units":
            return self._units()
        if name != "channels":
            return None
        every = self._table.plan.names
        names = [every[each] for each in self._columns]
        is_named = names != [str(each) for each in self._columns]
        return channel_names(names) if is_named else None

    def attributes(self) -> list[Mapping[str, Any]]:
        """What a text above the rows says of their rate: it is proposed, and not used."""
        said = self._table.plan.dialect.said_hz
        return [] if said is None else [{ABOVE: said}]

    def _units(self) -> NDArray[Any] | None:
        """Of each column, from the line below the header."""
        every = self._table.plan.dialect.units
        units = [every[each] if each < len(every) else "" for each in self._columns]
        return np.array(units, dtype=object) if any(units) else None

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` with the rows from `start` on.

        Raises:
            SourceContentError: there is a cell that is no number; names the line and the cell.
        """
        if self.dtype.hasobject:
            raise self._table.no_number(self._columns[0])
        cells = out if out.ndim == 2 else out.reshape(-1, 1)
        row = 0
        for piece, low, high in self._table.parts(start, start + len(out)):
            part = cells[row : row + high - low]
            row += high - low
            if self._table.read_plain(part, piece, low, self._columns):
                continue
            table = self._table.decoded(piece).slice(low, high - low)
            for place, column in enumerate(self._columns):
                kind = self._table.plan.kinds[column]
                part[:, place] = as_numbers(table.column(column), _DTYPES[kind])

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Rows `start` to `stop`, of texts."""
        if not self.dtype.hasobject:
            raise TypeError(f"{self.where} holds {self.dtype}")
        (column,) = self._columns
        texts: list[str] = []
        for piece, low, high in self._table.parts(start, stop):
            table = self._table.decoded(piece).slice(low, high - low)
            texts += table.column(column).to_pylist()
        return as_texts(texts, self.where)

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Bytes of the file that hold the rows; none of a packed table."""
        return self._table.byte_spans(low, high)
