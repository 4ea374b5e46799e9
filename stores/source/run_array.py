"""Values of rows that stay the same for a while: kept once for each run of equal rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.arrays import rows_of
from headrace.stores.source.formats.interface import SourceArray
from headrace.stores.source.names import distinct, slices

MOST_RUNS = 1 << 20
"""That are kept: 12 bytes each, and twice that for a moment."""


class RunArray:
    """One value a row, of texts or numbers, in runs; see `SourceArray`."""

    def __init__(
        self,
        name: str,
        where: str,
        start: NDArray[np.int64],
        code: NDArray[np.int32],
        values: NDArray[Any],
        rows: int,
    ) -> None:
        """Runs that follow each other.

        Args:
            name, where: what they are, for errors.
            start: (n,) first row of each, ascending from 0.
            code: (n,) of each, counting into `values`.
            values: different ones, of numbers or str.
            rows: of the whole.
        """
        self.name, self.where = name, where
        self.files: tuple[Path, ...] = ()
        self.start, self.code, self.values = start, code, values
        self.shape: tuple[int, ...] | None = (rows,)
        self.dtype: np.dtype[Any] = values.dtype
        self.piece_rows: int | None = None
        self.cache_bytes = int(start.nbytes + code.nbytes + values.nbytes)
        self.decode_bytes, self.row_bytes = 0, values.dtype.itemsize

    def ready(self) -> RunArray:
        """Itself."""
        return self

    def attribute(self, name: str) -> None:
        """None."""

    def attributes(self) -> list[Mapping[str, Any]]:
        """None."""
        return []

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        if stop <= start:
            return self.values[:0].copy()
        first = int(np.searchsorted(self.start, start, side="right")) - 1
        end = int(np.searchsorted(self.start, stop, side="left"))
        borders = np.append(np.maximum(self.start[first:end], start), stop)
        return np.repeat(self.values[self.code[first:end]], np.diff(borders))

    def whole(self) -> Any:
        """All of it."""
        return self.read(0, rows_of(self))

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` with the rows from `start` on."""
        out[:] = self.read(start, start + len(out))

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Rows `start` to `stop`, of texts."""
        if self.dtype.kind != "U":
            raise TypeError(f"{self.where} holds {self.dtype}")
        return self.read(start, stop)

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """None."""
        return iter(())


def of_files(name: str, where: str, values: Sequence[str], rows: NDArray[np.int64]) -> RunArray:
    """A column of the table of recordings, as of each row of theirs.

    Args:
        name, where: what it is.
        values: of each recording.
        rows: of each.
    """
    start = np.cumsum(rows) - rows
    there = rows > 0
    different, code = np.unique(np.asarray(values, dtype=np.str_), return_inverse=True)
    codes = code.astype(np.int32)
    return RunArray(name, where, start[there], codes[there], different, int(rows.sum()))


def in_runs(array: SourceArray) -> RunArray | None:
    """All of a column, read once; None: it has several values a row, or more than 2**20 runs.

    Raises:
        UserError: it cannot be read.
        UnicodeDecodeError: a text is not UTF-8.
    """
    rows = rows_of(array)
    if len(array.shape or ()) != 1 or array.dtype.kind not in "biufSOU":
        return None
    starts = [np.zeros(0, np.int64)]
    codes = [np.zeros(0, np.int32)]
    known: dict[Any, int] = {}
    runs = 0
    for low, high in slices(rows):
        texts = array.dtype.kind in "SOU"
        values = array.texts(low, high) if texts else array.read(low, high)
        heads = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
        unique, inverse = distinct(values[heads])
        own = [known.setdefault(value, len(known)) for value in unique.tolist()]
        starts.append(low + heads)
        codes.append(np.array(own, np.int32)[inverse])
        runs += len(heads)
        if runs > MOST_RUNS:
            return None
    dtype = np.str_ if array.dtype.kind in "SOU" else array.dtype
    start, code = np.concatenate(starts), np.concatenate(codes)
    values = np.array(list(known), dtype)
    return RunArray(array.name, array.where, start, code, values, rows)
