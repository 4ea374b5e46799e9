"""The beginning of an array, where what stands beside it ends some rows earlier."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.arrays import rows_of
from headrace.stores.source.derived.shaped import Shaped
from headrace.stores.source.interface import SourceArray


class Cut(Shaped):
    """The first rows of an array; see `SourceArray`."""

    def __init__(self, array: SourceArray, rows: int) -> None:
        """`rows` are no more than the array has."""
        super().__init__(array, (rows, *(array.shape or ())[1:]))

    def ready(self) -> Cut:
        """See `SourceArray`."""
        return Cut(self._array.ready(), rows_of(self))

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        return self._array.read(start, min(stop, rows_of(self)))

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` with the rows from `start` on."""
        self._array.read_into(out, start)

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Rows `start` to `stop`, of texts."""
        return self._array.texts(start, min(stop, rows_of(self)))


def cut_to(array: SourceArray, rows: int, most: int) -> SourceArray:
    """`array` without its last rows, where these are `most` or fewer; else itself."""
    more = (array.shape or (0,))[0] - rows
    return Cut(array, rows) if 0 < more <= most else array
