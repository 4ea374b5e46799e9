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
        first = int(np.searchsorted(self._stops, start, side="right"))
        last = int(np.searchsorted(self._stops, stop - 1, side="right"))
        inner = np.clip(self._stops[first : last + 1], start, stop)
        return np.repeat(self._values[first : last + 1], np.diff(inner, prepend=start))

    def content(self) -> bytes:
        """What tells it from another: it may be long, and holds little."""
        texts = "\0".join(self._values.tolist()).encode(errors="surrogatepass")
        return texts + self._stops.astype("<i8").tobytes()

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """None."""
        return iter(())
