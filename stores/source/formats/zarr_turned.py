"""Arrays of a Zarr read along another axis than their first."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.derived.shaped import Shaped
from headrace.stores.source.interface import SourceArray


class TurnedZarrArray(Shaped):
    """An array with its axes in another order: the slab of one row of chunks is held."""

    def __init__(
        self,
        array: SourceArray,
        stored: Any,
        chunk: Sequence[int],
        explained: Callable[[], AbstractContextManager[None]],
        order: Sequence[int],
    ) -> None:
        """`stored` is what zarr-python opened, in chunks of `chunk`."""
        shape = array.shape or ()
        super().__init__(array, tuple(shape[axis] for axis in order))
        self._stored, self._chunk, self._explained = stored, tuple(chunk), explained
        self._order = tuple(order)
        self._rows = max(1, min(self._chunk[order[0]], shape[order[0]]))
        slab = self._rows * math.prod((self.shape or ())[1:]) * array.dtype.itemsize
        self.piece_rows, self.row_bytes = self._rows, -(-slab // self._rows)
        self.cache_bytes, self.decode_bytes = slab, 3 * slab + array.decode_bytes
        self._held: tuple[int, NDArray[Any]] | None = None

    def ready(self) -> TurnedZarrArray:
        """Itself."""
        return self

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        out = np.empty((stop - start, *(self.shape or ())[1:]), self.dtype)
        for piece in range(start // self._rows, -(-stop // self._rows)):
            first = piece * self._rows
            low, high = max(start, first), min(stop, first + self._rows)
            out[low - start : high - start] = self._slab(piece)[low - first : high - first]
        return out

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """None."""
        return iter(())

    def _slab(self, piece: int) -> NDArray[Any]:
        if self._held is None or self._held[0] != piece:
            before = (slice(None),) * self._order[0]
            rows = slice(piece * self._rows, (piece + 1) * self._rows)
            with self._explained():
                slab = np.asarray(self._stored[(*before, rows)])
            self._held = piece, np.ascontiguousarray(slab.transpose(self._order))
        return self._held[1]
