"""Arrays whose rows are not their first axis, read along the axis that rows are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.derived.shaped import Shaped, Transposed
from headrace.stores.source.interface import SourceArray
from headrace.stores.text import format_bytes

MOST_HELD = 256 << 20
"""Bytes of an array that is read whole, as its format gives no slices along another axis."""


@runtime_checkable
class Turnable(SourceArray, Protocol):
    """An array that can be read in slices along any of its axes."""

    def turned(self, order: Sequence[int]) -> SourceArray:
        """The array with its axes in this order, read in slices of the first of them."""
        ...


def turned(array: SourceArray, order: Sequence[int]) -> SourceArray:
    """`array` with its axes in the order `order`.

    Raises:
        UserError: rows are not the first axis, and a slice of them would hold the whole array.
    """
    if order[0] == 0:
        return Transposed(array, order)
    found = array.turned(order) if isinstance(array, Turnable) else HeldTurned(array, order)
    rows, whole = (found.shape or (0,))[0], math.prod(found.shape or (0,)) * found.dtype.itemsize
    held = isinstance(found, HeldTurned) or (found.piece_rows or 1) >= rows
    if held and whole > MOST_HELD:
        raise SourceError(
            f"{array.where} {array.shape} is stored so that any slice of the axis that rows are "
            f"takes the whole of it, {format_bytes(whole)}. Write it with rows first, or in "
            "chunks that are short along them."
        )
    return found


class HeldTurned(Shaped):
    """An array that is read whole when it is first asked for, and held with its axes in order."""

    def __init__(self, array: SourceArray, order: Sequence[int]) -> None:
        """`order` of the array's axes."""
        shape = array.shape or ()
        super().__init__(array, tuple(shape[axis] for axis in order))
        self._order = tuple(order)
        whole = math.prod(shape) * array.dtype.itemsize
        self.cache_bytes += whole
        self.decode_bytes += whole
        self.piece_rows = max(1, (self.shape or (1,))[0])
        self.row_bytes = -(-whole // self.piece_rows)
        self._held: NDArray[Any] | None = None

    def ready(self) -> HeldTurned:
        """See `SourceArray`."""
        return HeldTurned(self._array.ready(), self._order)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        if self._held is None:
            rows = (self._array.shape or (0,))[0]
            self._held = np.ascontiguousarray(self._array.read(0, rows).transpose(self._order))
        return self._held[start:stop].copy()
