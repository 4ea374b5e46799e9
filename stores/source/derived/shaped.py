"""Arrays read as they are meant: other axes, one channel, one value a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.arrays import SLICE_BYTES
from headrace.stores.source.derived.held import HeldArray
from headrace.stores.source.interface import SourceArray


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


class Flattened(Shaped):
    """Windows (N, T, ...) one after another, as rows (N * T, ...)."""

    def __init__(self, array: SourceArray) -> None:
        """Windows of T rows."""
        count, self._time, *inner = array.shape or (0, 1)
        super().__init__(array, (count * self._time, *inner))
        self.row_bytes = -(-array.row_bytes // max(1, self._time))
        self.piece_rows = (array.piece_rows or 1) * self._time
        self.decode_bytes += 2 * max(SLICE_BYTES, array.row_bytes)

    def ready(self) -> Flattened:
        """See `SourceArray`."""
        return Flattened(self._array.ready())

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        first = start // self._time
        windows = self._array.read(first, -(-stop // self._time))
        rows = windows.reshape(-1, *windows.shape[2:])
        return rows[start - first * self._time : stop - first * self._time]

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Rows `start` to `stop`, of texts."""
        first = start // self._time
        windows = self._array.texts(first, -(-stop // self._time))
        return windows.reshape(-1)[start - first * self._time : stop - first * self._time]

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Of the windows that hold the rows."""
        return self._array.byte_spans(low // self._time, -(-high // self._time))


class Grouped(Shaped):
    """Rows (N * T, ...), so many of them as one: (N, T, ...)."""

    def __init__(self, array: SourceArray, together: int) -> None:
        """`together` rows become one."""
        rows, *inner = array.shape or (0,)
        super().__init__(array, (rows // together, together, *inner))
        self._together = together
        self.row_bytes = array.row_bytes * together
        self.piece_rows = None if array.piece_rows is None else -(-array.piece_rows // together)
        self.decode_bytes += self.row_bytes

    def ready(self) -> Grouped:
        """See `SourceArray`."""
        return Grouped(self._array.ready(), self._together)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        found = self._array.read(start * self._together, stop * self._together)
        return found.reshape(-1, self._together, *found.shape[1:])

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Of the rows in them."""
        return self._array.byte_spans(low * self._together, high * self._together)


def flat(array: SourceArray) -> SourceArray:
    """One value a row: (N, 1) as (N,), a short (1, N) as (N,), and a single value as (1,)."""
    shape = array.shape
    if shape == ():
        return HeldArray(array.name, array.where, np.atleast_1d(as_plain(array.whole())))
    if shape is None or len(shape) != 2 or 1 not in shape:
        return array
    if shape[1] == 1:
        return Reshaped(array, ())
    turned = getattr(array, "turned", None) if array.dtype.kind not in "SOU" else None
    return Row(array) if turned is None else Reshaped(turned((1, 0)), ())


class Row(Shaped):
    """The one row of an array (1, N), as (N,): a column that was written lying down."""

    def __init__(self, array: SourceArray) -> None:
        """An array of one row, which is read whole."""
        super().__init__(array, (array.shape or (0, 0))[1:])
        self.cache_bytes += array.row_bytes
        self.decode_bytes += array.row_bytes
        self.row_bytes = max(1, array.row_bytes // max(1, (array.shape or (0, 1))[1]))
        self.piece_rows = None
        self._held: NDArray[Any] | None = None

    def ready(self) -> Row:
        """See `SourceArray`."""
        return Row(self._array.ready())

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Values `start` to `stop`."""
        if self._held is None:
            self._held = self._array.read(0, 1)[0]
        return self._held[start:stop].copy()

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Values `start` to `stop`, of texts."""
        texts: NDArray[np.str_] = self._array.texts(0, 1)[0][start:stop]
        return texts

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """All of it."""
        return self._array.byte_spans(0, 1)


def as_plain(value: Any) -> Any:
    """One value, text as str."""
    plain = np.asarray(value).reshape(-1)[0] if np.ndim(value) == 0 else value
    return plain.decode() if isinstance(plain, bytes) else plain


def as_type(array: SourceArray, dtype: str | None) -> SourceArray:
    """Numbers read as `dtype`; None: as they are."""
    if dtype is None or array.dtype == np.dtype(dtype):
        return array
    return _Typed(array, np.dtype(dtype))
