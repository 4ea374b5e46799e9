"""Arrays that are made of the rows of other arrays, slice by slice, and arrays that are held."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.arrays import SLICE_BYTES, read_rows, rows_of
from headrace.stores.source.interface import SourceArray

TEXT = np.dtype(object)
"""The type of texts of any length."""
Rows = Callable[[Sequence[Any], int, int], NDArray[Any]]
"""Rows `start` to `stop`, made of arrays."""


@dataclass
class DerivedArray:
    """See `SourceArray`.

    Attributes:
        name: its path within the file.
        where: the file and that path.
        shape: of it.
        dtype: of it.
        of: the arrays that it is made of; none where `rows` holds it.
        rows: makes rows of them.
        said: attributes of its own.
        held: bytes of what `rows` holds.
    """

    name: str
    where: str
    shape: tuple[int, ...] | None
    dtype: np.dtype[Any]
    of: tuple[SourceArray, ...]
    rows: Rows
    said: Mapping[str, Any] = field(default_factory=dict)
    held: int = 0

    def __post_init__(self) -> None:
        """What is held and decoded is that of all arrays, and a slice of rows."""
        pieces = [array.piece_rows for array in self.of if array.piece_rows is not None]
        self.piece_rows = max(pieces, default=None)
        self.cache_bytes = self.held + sum(array.cache_bytes for array in self.of)
        self._row = math.prod((self.shape or (0,))[1:]) * self.dtype.itemsize
        # Rows of the arrays, and what is made of them.
        widest = max((array.row_bytes for array in self.of), default=0)
        self.decode_bytes = max((array.decode_bytes for array in self.of), default=0)
        self.decode_bytes += 2 * SLICE_BYTES + self._row + widest
        self.row_bytes = sum(array.row_bytes for array in self.of) or self._row
        self.files: tuple[Path, ...] = tuple(
            dict.fromkeys(path for array in self.of for path in array.files)
        )

    def ready(self) -> DerivedArray:
        """The same array, of arrays that are ready."""
        return replace(self, of=tuple(array.ready() for array in self.of))

    def attribute(self, name: str) -> Any | None:
        """An attribute of its own, else of the first of its arrays."""
        if name in self.said:
            return self.said[name]
        return self.of[0].attribute(name) if self.of else None

    def attributes(self) -> list[Mapping[str, Any]]:
        """Its own, then those of the first of its arrays."""
        return [self.said, *(self.of[0].attributes() if self.of else ())]

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        return read_rows(self, start, stop)

    def whole(self) -> Any:
        """All of it."""
        return self.rows(self.of, 0, rows_of(self))

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` with the rows from `start` on."""
        step = max(1, SLICE_BYTES // max(1, self._row, self.row_bytes))
        if self.piece_rows is not None and step > self.piece_rows:
            step -= step % self.piece_rows
        for low in range(0, len(out), step):
            high = min(low + step, len(out))
            out[low:high] = self.rows(self.of, start + low, start + high)

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Rows `start` to `stop`, of texts."""
        start, stop, _ = slice(start, stop).indices(rows_of(self))
        return as_texts(self.rows(self.of, start, stop))

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Those of its arrays."""
        for array in self.of:
            yield from array.byte_spans(low, high)


def held_array(
    name: str, where: str, values: NDArray[Any], said: Mapping[str, Any] | None = None
) -> DerivedArray:
    """A small array that is held: of numbers, or of str."""
    dtype = TEXT if values.dtype.kind in "SOU" else values.dtype
    held = values.nbytes
    return DerivedArray(
        name, where, values.shape, dtype, (), lambda _, a, b: values[a:b], said or {}, held
    )


def as_texts(values: NDArray[Any]) -> NDArray[np.str_]:
    """Texts of bytes or str, of whatever array.

    Raises:
        UnicodeDecodeError: one is not UTF-8.
        TypeError: they are no texts.
    """
    if values.dtype.kind == "U":
        return values.astype(np.str_)
    if values.dtype.kind == "S":
        return np.asarray(np.char.decode(values, "utf-8")).astype(np.str_)
    texts = [v.decode() if isinstance(v, bytes) else v for v in values.reshape(-1).tolist()]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError(f"{values.dtype} are no texts")
    return np.array(texts, dtype=np.str_).reshape(values.shape)
