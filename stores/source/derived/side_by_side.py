"""Several arrays as the channels of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.arrays import SLICE_BYTES
from headrace.stores.source.derived.chosen import chosen
from headrace.stores.source.derived.shaped import Shaped
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.said import NAMES, NEUTRAL, of_all


class SideBySide(Shaped):
    """Several arrays (N, ...) or (N, ..., C) as one, joined along the last axis."""

    def __init__(
        self,
        arrays: Sequence[SourceArray],
        ndim: int,
        places: Sequence[Sequence[int]] | None = None,
    ) -> None:
        """Arrays of as many rows each; one of `ndim - 1` axes is one channel.

        `places` are the channels that those of each array become; without it they follow.
        """
        self._widths = [_width(array, ndim) for array in arrays]
        first = arrays[0].shape or ()
        super().__init__(arrays[0], (*first[: ndim - 1], sum(self._widths)))
        self._arrays, self._ndim, self._places = tuple(arrays), ndim, places
        stops = np.cumsum(self._widths).tolist()
        self._columns: list[Any] = [
            slice(stop - width, stop) for stop, width in zip(stops, self._widths, strict=True)
        ]
        if places is not None:
            self._columns = [list(each) for each in places]
        self.dtype = np.result_type(*(array.dtype for array in arrays))
        self.cache_bytes = sum(array.cache_bytes for array in arrays)
        self.decode_bytes = max(array.decode_bytes for array in arrays) + SLICE_BYTES
        self.row_bytes = sum(array.row_bytes for array in arrays)

    def ready(self) -> SideBySide:
        """See `SourceArray`."""
        return SideBySide([array.ready() for array in self._arrays], self._ndim, self._places)

    def attribute(self, name: str) -> Any | None:
        """The first array's; of values a channel, those of all arrays."""
        if name != NAMES and name not in NEUTRAL:
            return self._array.attribute(name)
        values = [array.attribute(name) for array in self._arrays]
        leaves = [array.name.rpartition("/")[2] for array in self._arrays]
        found = of_all(name, values, self._widths, leaves)
        if self._places is None or found is None or np.shape(found) != (sum(self._widths),):
            return found
        moved = np.empty_like(found)
        moved[np.concatenate([np.asarray(each) for each in self._places])] = found
        return moved

    def attributes(self) -> list[Mapping[str, Any]]:
        """Those of each array, then those above the first."""
        first, *others = (array.attributes() for array in self._arrays)
        return [*first[:1], *(each[0] for each in others if each), *first[1:]]

    def chosen(self, channels: Sequence[int]) -> SourceArray:
        """The array of these channels, of the arrays that have some of them."""
        at = np.empty((sum(self._widths), 2), np.int64)
        for number, (columns, width) in enumerate(zip(self._columns, self._widths, strict=True)):
            at[columns] = np.stack([np.full(width, number), np.arange(width)], axis=1)
        taken = at[list(channels)]
        arrays, places = [], []
        for number, array in enumerate(self._arrays):
            inside = np.flatnonzero(taken[:, 0] == number)
            if len(inside):
                whole = len(array.shape or ()) < self._ndim
                arrays.append(array if whole else chosen(array, taken[inside, 1].tolist()))
                places.append(inside.tolist())
        return SideBySide(arrays, self._ndim, places)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        out = np.empty((stop - start, *(self.shape or ())[1:]), self.dtype)
        self.read_into(out, start)
        return out

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` with the rows from `start` on."""
        for array, columns in zip(self._arrays, self._columns, strict=True):
            values = array.read(start, start + len(out))
            out[..., columns] = values if values.ndim == self._ndim else values[..., None]

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Those of all."""
        for array in self._arrays:
            yield from array.byte_spans(low, high)


def _width(array: SourceArray, ndim: int) -> int:
    shape = array.shape or ()
    return 1 if len(shape) < ndim else shape[-1]
