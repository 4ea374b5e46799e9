"""Windows that are cut from stretches of signal when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CutWindows:
    """Windows (n, T, C) that overlap, as the stretches that they lie in.

    Attributes:
        stretches: (S, R, C), C-contiguous.
        first: (n,) int64 place of each window's first value among all values of `stretches`.
        time: T.
    """

    stretches: NDArray[Any]
    first: NDArray[np.int64]
    time: int

    def __len__(self) -> int:
        """Windows."""
        return len(self.first)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, T, C)."""
        return len(self.first), self.time, self.stretches.shape[2]

    @property
    def values(self) -> NDArray[Any]:
        """All values, flat."""
        return self.stretches.reshape(-1)

    def marked(self, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(n,) whether one of a window's rows is marked, of all rows (S, R)."""
        first = self.first // self.stretches.shape[2]
        before = np.concatenate(([0], np.cumsum(rows, dtype=np.int64)))
        return np.asarray(before[first + self.time] > before[first])

    def __getitem__(self, rows: NDArray[np.integer] | slice) -> NDArray[Any]:
        """Windows (k, T, C) of those numbers, copied."""
        return cut(self.values, self.first[rows], self.shape[1:])


def cut(values: NDArray[Any], first: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[Any]:
    """Copy (n, *shape) out of flat `values`, each from the place `first` (n,) on."""
    size = int(np.prod(shape, dtype=np.int64))
    if not len(first):
        return np.empty((0, *shape), values.dtype)
    every = np.lib.stride_tricks.sliding_window_view(values, size)
    return every[first].reshape(len(first), *shape)


def first_values(
    number: NDArray[np.integer], offset: NDArray[np.integer], rows: int, channels: int
) -> NDArray[np.int64]:
    """Places among all values of stretches (S, rows, channels) where windows begin."""
    return (number.astype(np.int64) * rows + offset) * channels
