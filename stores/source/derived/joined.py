"""Arrays of many files, one after another, as one array."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceContentError
from headrace.stores.source.interface import SourceArray

OPEN_FILES = 8
"""Files that are open at a time."""


class OpenArrays:
    """Arrays of files by the file's number, a few of them open; what is asked for least is closed.

    One array of a file, or several that are read together: an entry holds what `opened` gives.
    """

    def __init__(self, opened: Callable[[int], tuple[SourceArray, Callable[[], None]]]) -> None:
        """`opened(file)` gives the array of a file, and what closes it."""
        self._opened = opened
        self._held: OrderedDict[int, tuple[SourceArray, Callable[[], None]]] = OrderedDict()

    def of(self, file: int) -> SourceArray:
        """The array of a file."""
        if file not in self._held:
            while len(self._held) >= OPEN_FILES:
                self._held.popitem(last=False)[1][1]()
            self._held[file] = self._opened(file)
        self._held.move_to_end(file)
        return self._held[file][0]

    def close(self) -> None:
        """Close all."""
        while self._held:
            self._held.popitem()[1][1]()


@dataclass(frozen=True)
class Costs:
    """The most bytes that reading one of several arrays takes; see `SourceArray`."""

    cache_bytes: int = 0
    decode_bytes: int = 0
    row_bytes: int = 0

    def with_array(self, array: SourceArray) -> Costs:
        """One more array."""
        return Costs(
            max(self.cache_bytes, array.cache_bytes),
            max(self.decode_bytes, array.decode_bytes),
            max(self.row_bytes, array.row_bytes),
        )


class JoinedArray:
    """Rows of many files' arrays, in the files' order; see `SourceArray`.

    Attributes:
        rows: (files,) int64, rows of each file.
        differing: attributes that are not the same in all, and what two of them say.
        stated: attributes that are known of the first file without it.
        called: what those are called that are known so.
    """

    def __init__(
        self,
        first: SourceArray,
        where: str,
        rows: NDArray[np.int64],
        arrays: OpenArrays,
        costs: Costs,
    ) -> None:
        """Arrays that are alike.

        Args:
            first: the first file's, which others must be like.
            where: the files, for errors.
            rows: (files,) rows of each.
            arrays: of each file.
            costs: the most that one of them takes.
        """
        self.name, self.where, self.rows = first.name, where, rows
        self.files: tuple[Path, ...] = first.files
        self.differing: Mapping[str, str] = {}
        self.stated: Mapping[str, Any] = {}
        self.called: Mapping[str, str] = {}
        self._arrays, self._inner = arrays, (first.shape or ())[1:]
        self._before = np.concatenate(([0], np.cumsum(rows, dtype=np.int64)))
        self.shape: tuple[int, ...] | None = (int(self._before[-1]), *self._inner)
        self.dtype: np.dtype[Any] = first.dtype
        self.piece_rows = first.piece_rows
        self.keeps_pieces = bool(getattr(first, "keeps_pieces", False))
        self.cache_bytes = OPEN_FILES * costs.cache_bytes
        self.decode_bytes, self.row_bytes = costs.decode_bytes, costs.row_bytes

    def ready(self) -> JoinedArray:
        """Itself: files are opened as they are asked for."""
        return self

    def attribute(self, name: str) -> Any | None:
        """The first file's."""
        return self.stated[name] if name in self.stated else self.of(0).attribute(name)

    def of(self, file: int) -> SourceArray:
        """The array of a file."""
        return self._arrays.of(file)

    def attributes(self) -> list[Mapping[str, Any]]:
        """The first file's."""
        return self._arrays.of(0).attributes()

    def part(self, row: int) -> tuple[SourceArray, int]:
        """The array that holds a row, and which row of it that is."""
        array, first, _ = next(self._parts(row, row + 1))
        return array, first

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        found = [np.empty((0, *self._inner), self.dtype)]
        found += [array.read(low, high) for array, low, high in self._parts(start, stop)]
        return np.concatenate(found)

    def whole(self) -> Any:
        """All of it."""
        return self.read(0, int(self._before[-1]))

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` with the rows from `start` on."""
        done = 0
        for array, low, high in self._parts(start, start + len(out)):
            array.read_into(out[done : done + high - low], low)
            done += high - low

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Rows `start` to `stop`, of texts."""
        found = [array.texts(low, high) for array, low, high in self._parts(start, stop)]
        return np.concatenate([np.empty(0, np.str_), *found])

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """None: what is fetched ahead is one file's."""
        return iter(())

    def _parts(self, start: int, stop: int) -> Iterator[tuple[SourceArray, int, int]]:
        """The arrays that hold the rows `start` to `stop`, and which rows of each."""
        while start < stop:
            file = int(np.searchsorted(self._before, start, side="right")) - 1
            low = start - int(self._before[file])
            high = min(stop - int(self._before[file]), int(self.rows[file]))
            array = self._arrays.of(file)
            if array.shape != (self.rows[file], *self._inner) or not _alike(array, self.dtype):
                raise SourceContentError(
                    f"{array.where} has shape {array.shape} and {array.dtype}; the other files "
                    f"have {(int(self.rows[file]), *self._inner)} and {self.dtype}. Correct it, or "
                    "leave it out."
                )
            yield array, low, high
            start += high - low


def _alike(array: SourceArray, dtype: np.dtype[Any]) -> bool:
    return array.dtype == dtype or {array.dtype.kind, dtype.kind} <= set("SOU")
