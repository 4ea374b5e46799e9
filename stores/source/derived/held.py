"""Arrays that are not in a file but made of what is known of one: columns of a table of files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.arrays import shown_arrays
from headrace.stores.source.interface import SourceArray


class HeldArray:
    """Values in memory; see `SourceArray`."""

    def __init__(self, name: str, where: str, values: NDArray[Any] | Sequence[str]) -> None:
        """Texts, or numbers of any shape."""
        self.name, self.where = name, where
        self.files: tuple[Path, ...] = ()
        self._values = np.asarray(values)
        self.shape: tuple[int, ...] | None = self._values.shape
        self.dtype: np.dtype[Any] = self._values.dtype
        self.piece_rows: int | None = None
        self.cache_bytes = self.decode_bytes = 0
        self.row_bytes = int(self._values[:1].nbytes) if self._values.shape else 0

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return int(self._values.nbytes)

    def ready(self) -> HeldArray:
        """Itself."""
        return self

    def attribute(self, name: str) -> None:
        """None."""

    def attributes(self) -> list[Mapping[str, Any]]:
        """None."""
        return []

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        return self._values[start:stop].copy()

    def whole(self) -> Any:
        """All of it."""
        return self._values

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` with the rows from `start` on."""
        out[:] = self._values[start : start + len(out)]

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Rows `start` to `stop`, of texts."""
        if self.dtype.kind not in "U":
            raise TypeError(f"{self.where} holds {self.dtype}")
        return self._values[start:stop]

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """None."""
        return iter(())


class HeldNode:
    """Arrays by name; see `SourceNode`."""

    def __init__(self, name: str, where: str, arrays: Sequence[SourceArray]) -> None:
        """The group `name` of them."""
        self.name, self.where = name, where
        self._arrays = {array.name: array for array in arrays}

    def array(self, name: str) -> SourceArray | None:
        """The array of that name."""
        return self._arrays.get(name)

    def group(self, name: str) -> None:
        """None: it holds no groups."""

    def children(self) -> list[str]:
        """Those of the arrays."""
        return list(self._arrays)

    def contents(self) -> str:
        """Names, shapes and types."""
        return shown_arrays((a.name, a.shape, a.dtype) for a in self._arrays.values())

    def names(self) -> Iterator[str]:
        """Names of the arrays."""
        return iter(self._arrays)
