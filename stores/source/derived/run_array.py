"""Values of rows that stay the same for a while: kept once for each run of equal rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.arrays import distinct, rows_of
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.names import slices

MOST_RUNS = 1 << 20
"""That are kept: 12 bytes each, and twice that for a moment."""


@dataclass(frozen=True)
class Runs:
    """Runs that follow each other.

    Attributes:
        start: (n,) first row of each, ascending from 0.
        code: (n,) int32 of each, counting into `values`.
        values: the different ones, of numbers or str.
    """

    start: NDArray[np.int64]
    code: NDArray[np.int32]
    values: NDArray[Any]

    @property
    def nbytes(self) -> int:
        """Held of them."""
        return int(self.start.nbytes + self.code.nbytes + self.values.nbytes)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Its arrays by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], number: int) -> Runs:
        """Those of `arrays` with a number behind their names."""
        return cls(*(arrays[f"{each.name}_{number}"] for each in fields(cls)))


class RunArray:
    """One value a row, of texts or numbers, in runs; see `SourceArray`."""

    def __init__(
        self, runs: Runs, name: str, where: str, rows: int, attribute: Callable[[str], Any]
    ) -> None:
        """Runs of `rows` rows, and what gives attributes of the array that they were read from."""
        self.name, self.where, self.runs = name, where, runs
        self.files: tuple[Path, ...] = ()
        self.shape: tuple[int, ...] | None = (rows,)
        self.dtype: np.dtype[Any] = runs.values.dtype
        self.piece_rows: int | None = None
        self.cache_bytes = runs.nbytes
        self.decode_bytes, self.row_bytes = 0, runs.values.dtype.itemsize
        self._attribute = attribute

    def ready(self) -> RunArray:
        """Itself."""
        return self

    def attribute(self, name: str) -> Any | None:
        """That of the array."""
        return self._attribute(name)

    def attributes(self) -> list[Mapping[str, Any]]:
        """None: names are no numbers to be scaled."""
        return []

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        at, length = runs_within(self.runs.start, start, stop)
        return np.repeat(self.runs.values[self.runs.code[at]], length)

    def run_values(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """First row within `start` to `stop`, and value, of each run there."""
        at, length = runs_within(self.runs.start, start, stop)
        return start + np.cumsum(length) - length, self.runs.values[self.runs.code[at]]

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


def runs_within(
    starts: NDArray[np.int64], start: int, stop: int
) -> tuple[slice, NDArray[np.int64]]:
    """Which runs hold the rows `start` to `stop`, and how many rows of each, (k,).

    Args:
        starts: (n,) first row of each, ascending from 0.
        start, stop: rows.
    """
    if stop <= start:
        return slice(0, 0), np.zeros(0, np.int64)
    first = int(np.searchsorted(starts, start, side="right")) - 1
    end = int(np.searchsorted(starts, stop, side="left"))
    return slice(first, end), np.diff(np.append(np.maximum(starts[first:end], start), stop))


def runs_of(array: SourceArray) -> Runs | None:
    """All of a column, read once; None: it has several values a row, or more than 2**20 runs.

    What cannot be read as names is left to those who ask for them.

    Raises:
        UserError: the file cannot be read.
    """
    if len(array.shape or ()) != 1 or array.dtype.kind not in "biufSOU":
        return None
    texts = array.dtype.kind in "SOU"
    starts, codes = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
    known: dict[Any, int] = {}
    count = 0
    for low, high in slices(rows_of(array)):
        try:
            values = array.texts(low, high) if texts else array.read(low, high)
        except (UnicodeDecodeError, TypeError):
            return None
        heads = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
        unique, inverse = distinct(values[heads])
        own = [known.setdefault(value, len(known)) for value in unique.tolist()]
        starts.append(low + heads)
        codes.append(np.array(own, np.int32)[inverse])
        count += len(heads)
        if count > MOST_RUNS:
            return None
    values = np.array(list(known), np.str_ if texts else array.dtype)
    return Runs(np.concatenate(starts), np.concatenate(codes), values)
