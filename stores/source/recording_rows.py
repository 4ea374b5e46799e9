"""Reads rows of the signals at the rate they are delivered at: as stored, or resampled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.arrays import SLICE_BYTES
from headrace.stores.source.formats.interface import SourceArray
from headrace.stores.source.resampling import Ratio

FLOAT64_BYTES = 8


class RecordingRows:
    """Contiguous slices of one array `signals` (S, C); holds nothing between two reads."""

    def __init__(
        self,
        data: SourceArray,
        stored_dtype: np.dtype[Any],
        ratio: Ratio | None,
        scale: NDArray[np.float64],
        fill: float | None,
    ) -> None:
        """Set what is done to rows as they are read.

        Args:
            data: (S, C).
            stored_dtype: its type in native byte order.
            ratio: change of rate; None delivers rows as stored.
            scale: (C,) factors, applied before resampling and only there.
            fill: replaces NaN and infinity as stored; None keeps them.
        """
        self._data = data
        self._dtype = stored_dtype
        self._ratio = ratio
        self._scale = scale
        self._fill = fill
        channels = self._channels = int((data.shape or (0, 0))[1])
        self.row_bytes = channels * stored_dtype.itemsize
        # Rows as delivered that make about 4 MiB of what is held: the source rows in float64.
        row = self.row_bytes
        if ratio is not None:
            row = channels * FLOAT64_BYTES * max(1, -(-ratio.down // ratio.up))
        self.slice_rows = max(1, SLICE_BYTES // row)

    def buffer_bytes(self, window: int) -> int:
        """Most bytes held while a slice is read, for windows of `window` rows as delivered."""
        rows = max(self.slice_rows, window)
        if self._ratio is None:
            return 2 * rows * self.row_bytes
        low, high = self._ratio.support(0, rows)
        channels = self.row_bytes // self._dtype.itemsize
        # Stored rows, padded float64 rows and their transpose; the result in float64 and float32.
        source = (high - low) * (self.row_bytes + 2 * channels * FLOAT64_BYTES)
        return source + (2 * rows + high - low) * channels * FLOAT64_BYTES

    def source_span(self, origin: int, rows: int, low: int, high: int) -> tuple[int, int]:
        """Rows of the signals `(start, stop)` that delivered rows `low` to `high` come from.

        Args:
            origin: row of the signals that delivered row 0 stands at.
            rows: source rows of the recording from there.
            low: first delivered row.
            high: delivered row to stop before.
        """
        if self._ratio is not None:
            low, high = self._ratio.support(low, high)
        return origin + max(low, 0), origin + min(high, rows)

    def read(
        self, origin: int, rows: int, low: int, high: int, marks: bool
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Delivered rows `low` to `high`; arguments as in `source_span`.

        Returns:
            (high - low, C) in the delivered type, and (high - low,) bool, True where NaN or
            infinity went into the row; None where that cannot be or is not asked for.
        """
        first, stop = self.source_span(origin, rows, low, high)
        stored = np.empty((stop - first, self._channels), dtype=self._dtype)
        self._data.read_into(stored, first)
        bad = self._mark_and_fill(stored, marks)
        if self._ratio is None:
            return stored, bad
        support, end = self._ratio.support(low, high)
        padding = (max(-support, 0), max(end - rows, 0))
        values = np.pad(stored.astype(np.float64) * self._scale, (padding, (0, 0)), mode="edge")
        resampled = self._ratio.resample(values, support, low, high)
        if marks:
            # Large values can pass what float32 holds: that is infinity in the store.
            over = ~np.asarray(np.isfinite(resampled).all(axis=1))
            if bad is not None:
                spread = self._ratio.reached(np.pad(bad, padding, mode="edge"), support, low, high)
                over |= spread
            bad = over
        return resampled, bad

    def _mark_and_fill(self, stored: NDArray[Any], marks: bool) -> NDArray[np.bool_] | None:
        if self._dtype.kind != "f" or not (marks or self._fill is not None):
            return None
        finite = np.isfinite(stored)
        bad: NDArray[np.bool_] = ~finite.all(axis=1)
        if self._fill is not None and bad.any():
            stored[~finite] = self._fill
        return bad
