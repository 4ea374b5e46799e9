"""Columns of tables, of text or Parquet: their names, and their values as arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceContentError
from headrace.stores.source.arrays import commands

TABLE = "table"
"""The array of all columns of numbers. A column of that name comes before it."""
MAX_COLUMNS = 10_000
MOST_TEXT_BYTES = 256 << 20
"""Of texts of one read: NumPy makes each as long as the longest."""


class ColumnArray:
    """What arrays of a table's columns give by `read_into` and `texts`; see `SourceArray`."""

    shape: tuple[int, ...] | None
    dtype: np.dtype[Any]

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
        """Fill `out` with the rows from `start` on."""
        raise NotImplementedError

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Rows `start` to `stop`, of texts."""
        raise NotImplementedError


def check_column_count(columns: int, where: str) -> None:
    """Refuse a table of more than 10,000 columns.

    Raises:
        SourceContentError: says how samples stand.
    """
    if columns > MAX_COLUMNS:
        raise SourceContentError(
            f"{where} has {columns:,} columns; {MAX_COLUMNS:,} is the most. Write one row a "
            "sample and one column a channel."
        )


def check_names(names: Sequence[str], where: str) -> None:
    """Refuse names of columns that are equal, or would command a terminal.

    Raises:
        SourceContentError: with the names.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise SourceContentError(
            f"{where} has more than one column called {', '.join(map(repr, twice[:5]))}. "
            "Rename them."
        )
    for name in names:
        if any(map(commands, name)):
            raise SourceContentError(
                f"{where} has a column whose name holds control characters: {name[:40]!r}. "
                "Rename it."
            )


def as_numbers(cells: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A pyarrow column of numbers as (rows,), floats where one is missing: NaN.

    pyarrow's own conversion imports pandas, which takes 30 MB of each process.

    Args:
        cells: the column, in chunks.
        dtype: of its values as they are stored.
    """
    parts = [np.empty(0, dtype), *(_numbers(chunk, dtype) for chunk in cells.chunks)]
    return parts[1] if len(parts) == 2 else np.concatenate(parts)


def present(cells: Any) -> NDArray[np.bool_]:
    """(rows,): where a chunk of a pyarrow column has a value."""
    valid = cells.buffers()[0]
    if valid is None:
        return np.ones(len(cells), dtype=np.bool_)
    bits = np.frombuffer(valid, dtype=np.uint8)
    stop = cells.offset + len(cells)
    return np.unpackbits(bits, count=stop, bitorder="little")[cells.offset :].astype(np.bool_)


def _numbers(cells: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    values = np.frombuffer(cells.buffers()[1] or b"", dtype=dtype)
    values = values[cells.offset : cells.offset + len(cells)]
    if cells.null_count:
        kept = dtype if dtype.kind == "f" else np.float64
        values = np.where(present(cells), values, np.nan).astype(kept, copy=False)
    return values


def channel_names(names: Sequence[str]) -> NDArray[Any]:
    """Names of columns as those of channels, which no slash may be in: "m/s^2" is "m_s^2"."""
    return _channel_names(tuple(names))


@lru_cache(maxsize=16)
def _channel_names(names: tuple[str, ...]) -> NDArray[Any]:
    """One array for all of many files: to compare it with itself takes no time."""
    array = np.array([name.translate({47: "_", 92: "_"}) for name in names], dtype=object)
    array.flags.writeable = False
    return array


def check_texts(longest: int, count: int, where: str) -> None:
    """Refuse texts that would take more than 256 MiB, all as long as the longest.

    Raises:
        SourceContentError: says how long that is.
    """
    if 4 * longest * count > MOST_TEXT_BYTES:
        raise SourceContentError(
            f"{where} holds a text of {longest:,} characters, and is no column of names. Name "
            "another column."
        )


def as_texts(texts: Sequence[str], where: str) -> NDArray[np.str_]:
    """Texts as an array, each as long as the longest.

    Raises:
        SourceContentError: they would take more than 256 MiB.
    """
    check_texts(max(map(len, texts), default=0), len(texts), where)
    return np.array(texts, dtype=np.str_)
