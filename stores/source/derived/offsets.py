"""Stored values whose zero is elsewhere, moved while they are read: no store knows of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.arrays import SLICE_BYTES
from headrace.stores.source.channels import ChannelInfo
from headrace.stores.source.derived.shaped import Shaped
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


class _Moved(Shaped):
    """An array whose values are moved as they are read; see `SourceArray`."""

    def __init__(
        self,
        array: SourceArray,
        dtype: np.dtype[Any],
        scale: NDArray[np.float64] | None,
        offset: NDArray[np.float64],
    ) -> None:
        super().__init__(array, array.shape or ())
        self.dtype, self._scale, self._offset = dtype, scale, offset
        self.decode_bytes += 0 if scale is None else 3 * SLICE_BYTES

    def ready(self) -> _Moved:
        """See `SourceArray`."""
        return _Moved(self._array.ready(), self.dtype, self._scale, self._offset)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        values = self._array.read(start, stop)
        if self._scale is not None:
            return (values.astype(np.float64) * self._scale + self._offset).astype(self.dtype)
        # Modulo the type's range, which the result does not leave: exact.
        native = values.astype(values.dtype.newbyteorder("="), copy=False).view(self.dtype)
        native += self._offset.astype(np.int64).astype(self.dtype)
        return native
