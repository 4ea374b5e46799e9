"""Arrays read as they are meant: other axes, one channel, one value a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.arrays import SLICE_BYTES
from headrace.stores.source.formats.interface import SourceArray


class Shaped:
    """What an array that is read through another takes from it."""

    def __init__(self, array: SourceArray, shape: tuple[int, ...]) -> None:
        """`array` seen as one of that shape."""
        self._array = array
        self.name, self.where = array.name, array.where
        self.files: tuple[Path, ...] = array.files
        self.shape: tuple[int, ...] | None = shape
        self.dtype: np.dtype[Any] = array.dtype
        self.piece_rows: int | None = array.piece_rows
        self.cache_bytes, self.row_bytes = array.cache_bytes, array.row_bytes
        self.decode_bytes = array.decode_bytes

    def attribute(self, name: str) -> Any | None:
        """The array's."""
        return self._array.attribute(name)

    def attributes(self) -> list[Mapping[str, Any]]:
        """The array's."""
        return self._array.attributes()

    def whole(self) -> Any:
        """All of it."""
        assert self.shape is not None
        return self.read(0, self.shape[0])

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        raise NotImplementedError

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` with the rows from `start` on."""
        out[:] = self.read(start, start + len(out))

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Rows `start` to `stop`, of texts."""
        return self._array.texts(start, stop)

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """The array's."""
        return self._array.byte_spans(low, high)


class Transposed(Shaped):
    """Axes in another order; the first stays the first."""

    def __init__(self, array: SourceArray, order: Sequence[int]) -> None:
        """`order` of the array's axes, 0 first."""
        shape = array.shape or ()
        super().__init__(array, tuple(shape[axis] for axis in order))
        self._order = tuple(order)
        # What is read, before it is turned round.
        self.decode_bytes += array.cache_bytes

    def ready(self) -> Transposed:
        """See `SourceArray`."""
        return Transposed(self._array.ready(), self._order)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        return np.ascontiguousarray(self._array.read(start, stop).transpose(self._order))


class Reshaped(Shaped):
    """Rows of the same values in another shape: (N, 1) as (N,), (N, T) as (N, T, 1)."""

    def __init__(self, array: SourceArray, inner: tuple[int, ...]) -> None:
        """`inner` is a row's shape."""
        super().__init__(array, ((array.shape or (0,))[0], *inner))
        self._inner = inner

    def ready(self) -> Reshaped:
        """See `SourceArray`."""
        return Reshaped(self._array.ready(), self._inner)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        return self._array.read(start, stop).reshape(-1, *self._inner)

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` with the rows from `start` on."""
        stored = (self._array.shape or ())[1:]
        self._array.read_into(out.reshape(len(out), *stored), start)

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Rows `start` to `stop`, of texts."""
        return self._array.texts(start, stop).reshape(-1, *self._inner)


class _Typed(Shaped):
    """Values of another type."""

    def __init__(self, array: SourceArray, dtype: np.dtype[Any]) -> None:
        super().__init__(array, array.shape or ())
        self.dtype = dtype
        # What is read, before it is of the type.
        self.decode_bytes += SLICE_BYTES * max(1, array.dtype.itemsize // dtype.itemsize)

    def ready(self) -> _Typed:
        """See `SourceArray`."""
        return _Typed(self._array.ready(), self.dtype)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        return self._array.read(start, stop).astype(self.dtype)


def flat(array: SourceArray) -> SourceArray:
    """One value a row: (N, 1) as (N,)."""
    shape = array.shape or ()
    return Reshaped(array, ()) if len(shape) == 2 and shape[1] == 1 else array


def as_type(array: SourceArray, dtype: str | None) -> SourceArray:
    """Numbers read as `dtype`; None: as they are."""
    if dtype is None or array.dtype == np.dtype(dtype):
        return array
    return _Typed(array, np.dtype(dtype))
