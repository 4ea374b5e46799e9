"""A name of each recording as an array of one a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.formats.derived import TEXT


class RepeatedTexts:
    """Texts, each for as many rows as its recording has; see `SourceArray`."""

    def __init__(
        self, name: str, where: str, values: Sequence[str], rows: NDArray[np.int64]
    ) -> None:
        """`values` and `rows` (R,) of each recording."""
        self.name, self.where = name, where
        self.files: tuple[Path, ...] = ()
        self._values = np.asarray(values, np.str_)
        self._stops = np.cumsum(rows)
        self.shape: tuple[int, ...] | None = (int(self._stops[-1]) if len(rows) else 0,)
        self.dtype: np.dtype[Any] = TEXT
        self.piece_rows: int | None = None
        self.cache_bytes = int(self._values.nbytes + self._stops.nbytes)
        self.decode_bytes, self.row_bytes = 0, self._values.dtype.itemsize

    def ready(self) -> RepeatedTexts:
        """Itself."""
        return self

    def attribute(self, name: str) -> None:
        """None."""

    def attributes(self) -> list[Mapping[str, Any]]:
        """None."""
        return []

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        return self.texts(start, stop)

    def whole(self) -> Any:
        """All of it."""
        return self.texts(0, (self.shape or (0,))[0])

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` with the rows from `start` on."""
        out[:] = self.texts(start, start + len(out))

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Rows `start` to `stop`, of texts."""
        if start >= stop:
            return self._values[:0]
        first, values = self.run_values(start, stop)
        return np.repeat(values, np.diff(first, append=stop))

    def run_values(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
        """First row within `start` to `stop`, and text, of each recording that has rows there."""
        low = int(np.searchsorted(self._stops, start, side="right"))
        high = int(np.searchsorted(self._stops, stop - 1, side="right")) + 1
        inner = np.append(start, np.clip(self._stops[low:high], start, stop))
        there = inner[1:] > inner[:-1]
        return inner[:-1][there], self._values[low:high][there]

    def content(self) -> bytes:
        """What tells it from another: it may be long, and holds little."""
        texts = "\0".join(self._values.tolist()).encode(errors="surrogatepass")
        return texts + self._stops.astype("<i8").tobytes()

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """None."""
        return iter(())
