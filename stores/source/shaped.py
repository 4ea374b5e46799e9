"""Arrays read as they are meant: other axes, one channel, several side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.formats.interface import SourceArray

OF_CHANNELS: dict[str, Any] = {
    "channels": None,
    "units": "",
    "scale_to_units": 1.0,
    "offset_to_units": 0.0,
    "scale_factor": 1.0,
    "add_offset": 0.0,
}
"""Attributes that have a value a channel, and what it is of an array without one."""


class _Shaped:
    """What an array that is read through another takes from it."""

    def __init__(self, array: SourceArray, shape: tuple[int, ...]) -> None:
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


class Transposed(_Shaped):
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


class Reshaped(_Shaped):
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


class SideBySide(_Shaped):
    """Several arrays (N, ...) or (N, ..., C) as one, joined along the last axis."""

    def __init__(self, arrays: Sequence[SourceArray], ndim: int) -> None:
        """Arrays of as many rows each; one of `ndim - 1` axes is one channel."""
        widths = [_width(array, ndim) for array in arrays]
        first = arrays[0].shape or ()
        super().__init__(arrays[0], (*first[: ndim - 1], sum(widths)))
        self._arrays, self._ndim = tuple(arrays), ndim
        self._stops = np.cumsum(widths).tolist()
        self.dtype = np.result_type(*(array.dtype for array in arrays))
        self.cache_bytes = sum(array.cache_bytes for array in arrays)
        self.row_bytes = sum(array.row_bytes for array in arrays)

    def attribute(self, name: str) -> Any | None:
        """Of each channel, where the arrays have a value a channel; else the first's."""
        values = [array.attribute(name) for array in self._arrays]
        return self._of_channels(name, values)

    def attributes(self) -> list[Mapping[str, Any]]:
        """Those of each, what is of channels joined, then those above the first."""
        found = [array.attributes() or [{}] for array in self._arrays]
        own = [each[0] for each in found]
        joined = {
            name: self._of_channels(name, [each.get(name) for each in own])
            for name in OF_CHANNELS
            if any(name in each for each in own)
        }
        others = [{n: v for n, v in each.items() if n not in OF_CHANNELS} for each in own]
        return [joined, *others, *found[0][1:]]

    def _of_channels(self, name: str, values: Sequence[Any]) -> Any | None:
        first = values[0]
        if name not in OF_CHANNELS or all(value is None for value in values):
            return first
        width = (self.shape or (0,))[-1]
        if np.size(first) in (1, width) and all(np.array_equal(first, v) for v in values):
            return first
        widths = np.diff(self._stops, prepend=0).tolist()
        parts = [_spread(v, n, OF_CHANNELS[name]) for v, n in zip(values, widths, strict=True)]
        lists = [part for part in parts if part is not None]
        return [*chain.from_iterable(lists)] if len(lists) == len(parts) else first

    def ready(self) -> SideBySide:
        """See `SourceArray`."""
        return SideBySide([array.ready() for array in self._arrays], self._ndim)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        out = np.empty((stop - start, *(self.shape or ())[1:]), self.dtype)
        self.read_into(out, start)
        return out

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` with the rows from `start` on."""
        low = 0
        for array, high in zip(self._arrays, self._stops, strict=True):
            values = array.read(start, start + len(out))
            out[..., low:high] = values if values.ndim == self._ndim else values[..., None]
            low = high

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Those of all."""
        for array in self._arrays:
            yield from array.byte_spans(low, high)


def flat(array: SourceArray) -> SourceArray:
    """One value a row: (N, 1) as (N,)."""
    shape = array.shape or ()
    return Reshaped(array, ()) if len(shape) == 2 and shape[1] == 1 else array


def _spread(value: Any, width: int, missing: Any | None) -> list[Any] | None:
    """A value of so many channels; None: it has another number of them."""
    if value is None:
        return None if missing is None else [missing] * width
    values = np.asarray(value).reshape(-1).tolist()
    if len(values) == 1 and isinstance(values[0], str) and "," in values[0]:
        values = [text.strip() for text in values[0].split(",")]
    if len(values) == width:
        return values
    return values * width if len(values) == 1 and missing is not None else None


def _width(array: SourceArray, ndim: int) -> int:
    shape = array.shape or ()
    return 1 if len(shape) < ndim else shape[-1]
