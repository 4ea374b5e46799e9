"""Stored values whose zero is elsewhere, moved while they are read: no store knows of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.arrays import SLICE_BYTES
from headrace.stores.source.channels import ChannelInfo
from headrace.stores.source.interface import SourceArray

SIGNED: dict[int, np.dtype[Any]] = {
    1: np.dtype(np.int8),
    2: np.dtype(np.int16),
    4: np.dtype(np.int32),
}


def centred(data: SourceArray, info: ChannelInfo) -> tuple[SourceArray, ChannelInfo]:
    """`data` (..., C) without its offset, and what is then to be said of its channels.

    Whole numbers stay whole where the offset is a whole number of steps and all of the type's
    values have room in the signed type of the same width: uint16 counts around 32768 become int16
    around 0. Everything else becomes float32 in units: value * scale + offset, in float64.
    """
    if not info.offset.any():
        return data, info
    none = replace(info, offset=np.zeros_like(info.offset))
    steps = np.round(info.offset / info.scale)
    signed = SIGNED.get(data.dtype.itemsize) if data.dtype.kind in "iu" else None
    if signed is not None and np.allclose(steps * info.scale, info.offset, rtol=1e-6, atol=0):
        least, most = np.iinfo(data.dtype).min + steps, np.iinfo(data.dtype).max + steps
        if (least >= np.iinfo(signed).min).all() and (most <= np.iinfo(signed).max).all():
            return _Moved(data, signed, None, steps), none
    moved = info.scale, info.offset
    ones = replace(none, scale=np.ones_like(info.scale), moved=moved)
    return _Moved(data, np.dtype(np.float32), info.scale, info.offset), ones


class _Moved:
    """An array whose values are moved as they are read; see `SourceArray`."""

    def __init__(
        self,
        array: SourceArray,
        dtype: np.dtype[Any],
        scale: NDArray[np.float64] | None,
        offset: NDArray[np.float64],
    ) -> None:
        self._array, self._scale, self._offset = array, scale, offset
        self.name, self.where, self.shape = array.name, array.where, array.shape
        self.files: tuple[Path, ...] = array.files
        self.dtype, self.piece_rows = dtype, array.piece_rows
        self.cache_bytes, self.row_bytes = array.cache_bytes, array.row_bytes
        self.decode_bytes = array.decode_bytes + (0 if scale is None else 3 * SLICE_BYTES)

    def ready(self) -> _Moved:
        """See `SourceArray`."""
        return _Moved(self._array.ready(), self.dtype, self._scale, self._offset)

    def attribute(self, name: str) -> Any | None:
        """The array's."""
        return self._array.attribute(name)

    def attributes(self) -> list[Mapping[str, Any]]:
        """The array's."""
        return self._array.attributes()

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        values = self._array.read(start, stop)
        if self._scale is not None:
            return (values.astype(np.float64) * self._scale + self._offset).astype(self.dtype)
        # Modulo the type's range, which the result does not leave: exact.
        native = values.astype(values.dtype.newbyteorder("="), copy=False).view(self.dtype)
        native += self._offset.astype(np.int64).astype(self.dtype)
        return native

    def whole(self) -> Any:
        """All of it."""
        return self.read(0, (self.shape or (0,))[0])

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` with the rows from `start` on."""
        out[:] = self.read(start, start + len(out))

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """None: they are numbers."""
        return self._array.texts(start, stop)

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """The array's."""
        return self._array.byte_spans(low, high)
