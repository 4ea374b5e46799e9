"""HDF5 datasets read along another axis than their first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Self

from numpy.typing import NDArray

from headrace.stores.source.arrays import SLICE_BYTES, read_rows, rows_of
from headrace.stores.source.formats.hdf5 import (
    MAX_CHUNK_CACHE,
    MIN_CHUNK_CACHE,
    Hdf5Array,
    explained,
    piece_bytes,
)
from headrace.stores.source.formats.hdf5_own import Parts


class TurnedArray(Hdf5Array):
    """A dataset with its axes in another order: a slice of rows is a slab of it."""

    def __init__(self, dataset: Any, parts: Parts, order: Sequence[int]) -> None:
        """`order` of the dataset's axes; the first is that of rows."""
        super().__init__(dataset, parts)
        self._order = tuple(order)
        self.shape = tuple(dataset.shape[axis] for axis in order)
        chunks = dataset.chunks and tuple(dataset.chunks[axis] for axis in order)
        piece = piece_bytes(self.shape, chunks, dataset.dtype.itemsize)
        self.piece_rows = None if chunks is None else int(chunks[0])
        self.row_bytes = piece // (self.piece_rows or 1)
        if chunks is not None:
            self.cache_bytes = min(max(piece, MIN_CHUNK_CACHE), MAX_CHUNK_CACHE)
        self._row = max(1, math.prod(self.shape[1:]) * dataset.dtype.itemsize)
        self.decode_bytes += max(SLICE_BYTES, self._row)

    def _again(self, dataset: Any) -> Self:
        return type(self)(dataset, self.parts, self._order)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        return read_rows(self, start, stop)

    def whole(self) -> Any:
        """All of it."""
        return self.read(0, rows_of(self))

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` with the rows from `start` on."""
        step = max(1, SLICE_BYTES // self._row)
        before = (slice(None),) * self._order[0]
        for low in range(0, len(out), step):
            high = min(low + step, len(out))
            with explained(self._lacking):
                slab = self.dataset[(*before, slice(start + low, start + high))]
            out[low:high] = slab.transpose(self._order)

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """None: rows lie all over the dataset."""
        return iter(())
