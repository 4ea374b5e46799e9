"""The mean of each recording's channels, found when the recording is first read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.arrays import SLICE_BYTES

Rows = Callable[[int, int], NDArray[Any]]
"""Rows `start` to `stop` of a recording, (n, C) as stored."""


class Means:
    """(recordings, C) float64 in what is stored; values that are not finite do not count.

    Each process reads a recording once more, from its first row to its last, before it delivers
    any of its windows: always in the same slices, so that every process finds the same bits.
    """

    def __init__(self, recordings: int, channels: int) -> None:
        """None is known yet."""
        self._means = np.full((recordings, channels), np.nan)
        self._known = np.zeros(recordings, dtype=bool)
        self.nbytes = self._means.nbytes + self._known.nbytes
        self._slice = max(1, SLICE_BYTES // (3 * channels * self._means.itemsize))

    def of(self, recording: int, rows: int, read: Rows) -> NDArray[np.float64]:
        """(C,) of a recording of so many rows; 0 of a channel without a finite value."""
        if not self._known[recording]:
            self._means[recording] = self._mean(rows, read)
            self._known[recording] = True
        mean: NDArray[np.float64] = self._means[recording]
        return mean

    def _mean(self, rows: int, read: Rows) -> NDArray[np.float64]:
        total = np.zeros(self._means.shape[1])
        count = np.zeros(self._means.shape[1], dtype=np.int64)
        for start in range(0, rows, self._slice):
            values = read(start, min(start + self._slice, rows)).astype(np.float64)
            finite = np.isfinite(values)
            if not finite.all():
                values[~finite] = 0
            total += values.sum(axis=0)
            count += finite.sum(axis=0)
        return total / np.maximum(count, 1)
