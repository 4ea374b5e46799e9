"""Parquet files: columns, read by row groups."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceContentError, SourceError, first_line
from headrace.stores.io.object_file import HELD_BYTES, ObjectFile
from headrace.stores.io.places import Place, storage_of
from headrace.stores.source.arrays import shown_arrays
from headrace.stores.source.formats.columns import (
    TABLE,
    ColumnArray,
    channel_names,
    check_column_count,
    check_names,
    check_texts,
)
from headrace.stores.source.formats.one_file import OneFile
from headrace.stores.source.formats.parquet_columns import (
    INDEX,
    Column,
    columns_of,
    explained,
    metadata_of,
    numbers_of,
    put_side_by_side,
    texts_of,
)
from headrace.stores.source.formats.parquet_looks import (
    check_left_out,
    check_plain,
    misses,
    row_borders,
    stored_bytes,
)
from headrace.stores.source.formats.pieces import PIECES
from headrace.stores.source.remarks import ROW_GROUPS, Remark

KEPT_GROUPS, COLUMNS_AT_ONCE = 2, 32
"""Row groups that are kept, and columns that are decoded before they stand side by side."""
MOST_GROUP_BYTES, LARGE_GROUP_BYTES = 1 << 30, 128 << 20
"""Of one row group of an array, decoded; and from where on it is said that it is large."""


class ParquetTable(OneFile):
    """An open file: its columns, and all columns of numbers side by side; see `SourceFile`."""

    def __init__(self, path: Place, raw: io.RawIOBase) -> None:
        """Take over an open file.

        Raises:
            UserError: it is not Parquet, or has columns that cannot be used.
        """
        from pyarrow import parquet

        OneFile.__init__(self, path)
        self.name = "/"
        self.where = str(path)
        self._object = raw if isinstance(raw, ObjectFile) else None
        self.fetched_bytes = 0 if self._object is None else HELD_BYTES
        self._raw = io.BufferedReader(raw)
        self.identity = self.where, *self.own_state()
        self._lock = Lock()
        with explained(self.where):
            file = parquet.ParquetFile(self._raw)
            self.metadata = file.metadata
            check_plain(self._raw, self.metadata, self.where)
            check_column_count(self.metadata.num_columns, self.where)
            self.schema = file.schema_arrow
            check_names(self.schema.names, self.where)
            self.held_columns = columns_of(self.schema, self.metadata.num_columns)
        self.rows = row_borders(self.metadata, self.where)
        self.group_rows = max(1, *(b - a for a, b in pairwise(self.rows)), 1)
        self._largest = 0

    def array(self, name: str) -> ParquetArray | None:
        """The column of that name; "table": all columns of numbers side by side."""
        for column in self.held_columns:
            if column.name == name:
                if not column.kind:
                    raise SourceError(
                        f"{self.where}:{name} holds {str(column.arrow)[:80]}; a column holds "
                        "numbers, texts or times. Write it as columns of these."
                    )
                return ParquetArray(self, name, [self._with_empties(column)], True)
        numbers = [
            self._with_empties(column)
            for column in self.held_columns
            if column.kind == "number" and column.dtype != bool and not INDEX.fullmatch(column.name)
        ]
        return ParquetArray(self, TABLE, numbers, False) if name == TABLE and numbers else None

    def remarks(self) -> list[Remark]:
        """Of row groups that are large, as arrays of them were asked for."""
        size = self._largest
        return [Remark(ROW_GROUPS, self.where, size >> 20)] if size >= LARGE_GROUP_BYTES else []

    def read_by(self, piece: int) -> None:
        """Take note of an array that decodes so many bytes at once."""
        self._largest = max(self._largest, piece)

    def check_left_out(self, used: Collection[str]) -> None:
        """See `MixedTable`."""
        check_left_out(self, used)

    def group(self, name: str) -> None:
        """None: a table has no groups."""

    def children(self) -> list[str]:
        """Those of the columns that are read."""
        return [column.name for column in self.held_columns if column.kind]

    def contents(self) -> str:
        """The columns with shape and type, and the names of those that are not read."""
        read = [column for column in self.held_columns if column.kind]
        shown = [(each.name, self.array(each.name)) for each in read[:20] if each.name != TABLE]
        arrays = [(TABLE, self.array(TABLE)), *shown]
        text = shown_arrays((name, each.shape, each.dtype) for name, each in arrays if each)
        others = [column.name for column in self.held_columns if not column.kind]
        return text + (f"; not read: {', '.join(others[:12])}" if others else "")

    def names(self) -> Iterator[str]:
        """Names of the columns that are read, and "table"."""
        read = [column.name for column in self.held_columns if column.kind]
        yield from dict.fromkeys([TABLE, *read] if self.array(TABLE) is not None else read)

    def fetch(self, spans: set[tuple[int, int]]) -> bool:
        """Fetch bytes of an object side by side."""
        if self._object is None:
            return False
        with explained(self.where):
            self._object.fetch(spans)
        return True

    def close(self) -> None:
        """Close the file."""
        self._raw.close()

    @cached_property
    def _file(self) -> Any:
        """What decodes: many files are opened of which no row is, as it is kept."""
        from pyarrow import parquet

        texts = [column.name for column in self.held_columns if column.kind == "text"]
        # As codes: a few bytes of a file can stand for any number of long texts.
        return parquet.ParquetFile(self._raw, metadata=self.metadata, read_dictionary=texts)

    def decoded(self, group: int, columns: Sequence[Column]) -> Any:
        """Columns of a row group as a pyarrow table.

        Raises:
            UserError: they cannot be read, or there are not as many rows as the file says.
        """
        names = [column.name for column in columns]
        with explained(self.where), self._lock:
            table = self._file.read_row_group(group, columns=names, use_threads=False)
        expected = self.rows[group + 1] - self.rows[group]
        if table.num_rows != expected:
            raise SourceContentError(
                f"{self.where} says that row group {group} has {expected:,} rows, and it has "
                f"{table.num_rows:,}. Write it again."
            )
        return table

    def attribute(self, column: str | None, name: str) -> str | None:
        """Metadata of a column, else of the file."""
        fields = [] if column is None else [self.schema.field(column).metadata]
        for found in (*fields, self.metadata.metadata):
            if found and name.encode() in found:
                return str(found[name.encode()].decode(errors="replace"))
        return None

    def _with_empties(self, column: Column) -> Column:
        """Whole numbers and truth values become float64 if one is missing anywhere."""
        if column.kind != "number" or column.dtype.kind not in "iub":
            return column
        if not self.schema.field(column.name).nullable or not misses(self, column):
            return column
        return replace(column, dtype=np.dtype(np.float64))


class ParquetArray(ColumnArray):
    """One column, or all of numbers; see `SourceArray`."""

    keeps_pieces = True

    def __init__(
        self, table: ParquetTable, name: str, columns: Sequence[Column], single: bool
    ) -> None:
        """Columns of numbers of `table`, or a single column of any kind.

        Raises:
            UserError: a row group is too large.
        """
        self._table = table
        self._columns = columns
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self.name = name
        self.where = f"{table.where}:{name}"
        self.files: tuple[Path, ...] = ()
        across = () if single else (len(columns),)
        self.shape: tuple[int, ...] = table.rows[-1], *across
        self.dtype = np.result_type(*(column.dtype for column in columns))
        self.piece_rows: int | None = table.group_rows
        stored = stored_bytes(table, columns[0] if single else None)
        texts = -(-stored // table.group_rows) if self.dtype.hasobject else 0
        self.row_bytes = len(columns) * self.dtype.itemsize + texts
        piece = self.row_bytes * table.group_rows
        if piece > MOST_GROUP_BYTES:
            raise SourceError(
                f"{self.where} has row groups of {piece:,} bytes, and each is decoded whole; "
                f"{MOST_GROUP_BYTES:,} is the most. Write smaller ones (row_group_size of "
                "pyarrow.parquet.write_table), or name fewer columns."
            )
        table.read_by(piece)
        self.cache_bytes = min(KEPT_GROUPS, max(1, len(table.rows) - 1)) * piece
        # As stored, packed and unpacked; and columns before they stand side by side.
        at_once = min(len(columns), COLUMNS_AT_ONCE) * table.group_rows * 8
        self.decode_bytes = 2 * stored + 2 * at_once + texts * table.group_rows

    def chosen(self, channels: Sequence[int]) -> ParquetArray:
        """Some columns of several: the others are not decoded."""
        columns = [self._columns[each] for each in channels]
        return ParquetArray(self._table, self.name, columns, False)

    def ready(self) -> ParquetArray:
        """The same."""
        return self

    def attribute(self, name: str) -> Any | None:
        """Metadata of the column, else of the file, as text; names of the columns.

        `unit` of times is ns.
        """
        column = self._columns[0]
        if name == "unit" and column.kind == "time":
            return "ns"
        if name == "channels":
            return channel_names([each.name for each in self._columns])
        return self._table.attribute(None if self.shape[1:] else column.name, name)

    def attributes(self) -> list[Mapping[str, Any]]:
        """Metadata of the columns, then of the file."""
        found = metadata_of(self._table.schema, [column.name for column in self._columns])
        return [{}, *found] if self.shape[1:] else found

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` with the rows from `start` on.

        Raises:
            SourceContentError: they are texts, or there is a time that is none.
        """
        if self.dtype.hasobject:
            raise SourceContentError(
                f"{self.where} holds texts, and numbers are needed. Name another column."
            )
        row = 0
        for piece in self._slices(start, start + len(out)):
            out[row : row + len(piece)] = piece
            row += len(piece)

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Rows `start` to `stop`, of texts; "" where there is none."""
        if not self.dtype.hasobject:
            raise TypeError(f"{self.where} holds {self.dtype}")
        parts = [
            texts_of(chunk, self.where)
            for piece in self._slices(start, stop)
            for chunk in piece.chunks
        ]
        check_texts(
            max((part.itemsize // 4 for part in parts), default=0), stop - start, self.where
        )
        return np.concatenate([np.empty(0, dtype="U1"), *parts])

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """None are known."""
        return iter(())

    def _slices(self, start: int, stop: int) -> Iterator[Any]:
        rows = self._table.rows
        for group in range(bisect_right(rows, start) - 1, len(rows) - 1):
            if rows[group] >= stop:
                return
            yield self._piece(group)[max(start - rows[group], 0) : stop - rows[group]]

    def _piece(self, group: int) -> Any:
        if group in self._kept:
            self._kept.move_to_end(group)
            return self._kept[group]
        while len(self._kept) >= KEPT_GROUPS:
            self._kept.popitem(last=False)
        if self.dtype.hasobject:
            (column,) = self._columns
            self._kept[group] = self._table.decoded(group, self._columns).column(column.name)
        else:
            columns = tuple(column.name for column in self._columns)
            key = (*self._table.identity, group, columns, self.dtype, self.shape)
            self._kept[group] = PIECES.get(key, lambda: self._numbers(group))
        return self._kept[group]

    def _numbers(self, group: int) -> NDArray[Any]:
        """(rows,) or (rows, columns) of a row group."""
        first, stop = self._table.rows[group : group + 2]
        out = np.empty((stop - first, *self.shape[1:]), dtype=self.dtype)
        side_by_side = out.reshape(stop - first, len(self._columns))
        for low in range(0, len(self._columns), COLUMNS_AT_ONCE):
            columns = self._columns[low : low + COLUMNS_AT_ONCE]
            table = self._table.decoded(group, columns)
            values = [
                numbers_of(table.column(each.name), each, f"{self._table.where}:{each.name}", first)
                for each in columns
            ]
            put_side_by_side(side_by_side[:, low:], values)
        return out


def open_parquet(path: Place) -> ParquetTable:
    """Open `path` for reading.

    Raises:
        UserError: there is no such file, or it is not Parquet.
    """
    try:
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "does not exist"
            raise SourceError(f"The source {path} {what}. Name a Parquet file.")
        raw = storage_of(path).open()
    except OSError as error:
        raise SourceError(
            f"The source {path} cannot be read ({first_line(error)}). Name a Parquet file."
        ) from error
    try:
        return ParquetTable(path, raw)
    except BaseException:
        raw.close()
        raise
